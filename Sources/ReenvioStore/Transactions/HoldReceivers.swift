package import ReenvioModel

extension Store {
    /// Pauses every receiver there is, so that nothing that is stored goes out: for a store that was restored, which
    /// would send again what was sent after its backup. Stored notices for the operator wait, too. Receivers met later
    /// are not held. A receiver that somebody paused stays as it was. One transaction over all receivers.
    /// - Returns: how many are held now.
    package func holdReceivers(by requester: Requester, now: Timestamp) async throws -> Int64 {
        try await engine.write(.intake) { db in
            // A hold on top of a hold is the same one.
            try db.run(
                "INSERT INTO meta (name, value) VALUES ('held_at', $1) ON CONFLICT (name) DO NOTHING",
                [.text(String(now.microseconds))])
            let heldAt = try Self.heldAt(in: db) ?? now
            try db.run(
                "UPDATE receivers SET paused_at = $1, health_since = $2 WHERE paused_at IS NULL",
                [.time(heldAt), .time(now)])
            try db.run("UPDATE queues SET parked = 1 WHERE parked = 0")
            try Notices.hold(in: db)
            let held = try db.first("SELECT count(*) FROM receivers WHERE paused_at = $1", [.time(heldAt)]) {
                $0.int(0)
            }
            let entry = Audit.Entry(
                at: now, accountID: nil, by: requester, action: "store.hold", target: "\(held ?? 0) receivers")
            try Audit.write(entry, in: db)
            return held ?? 0
        }
    }

    /// Ends a hold, of one merchant's receivers or of all. Those that somebody paused stay paused; a broken one is
    /// probed at once. At most 1,000 receivers in a transaction.
    /// - Parameter engineNow: engine time, at which probes may go.
    /// - Returns: how many were released.
    package func releaseReceivers(
        merchantID: Int64?, by requester: Requester, now: Timestamp, engineNow: Timestamp
    ) async throws -> Int64 {
        var released: Int64 = 0
        while true {
            let step = try await engine.write(.intake) { db -> Int64 in
                guard let heldAt = try Self.heldAt(in: db) else { return 0 }
                let held = try Self.held(since: heldAt, merchantID: merchantID, in: db)
                for before in held {
                    var state = before
                    state.resume(engineNow: engineNow)
                    try state.save(before: before, wall: now, in: db)
                }
                if held.count < Limits.receiversPerRelease { try Self.endHold(heldAt, in: db) }
                return Int64(held.count)
            }
            released += step
            if step < Limits.receiversPerRelease { break }
        }
        let total = released
        try await engine.write(.intake) { db in
            let entry = Audit.Entry(
                at: now, accountID: nil, by: requester, action: "store.release", target: "\(total) receivers",
                parameters: merchantID.map { "merchant \($0)" } ?? "")
            try Audit.write(entry, in: db)
        }
        return released
    }

    private static func held(
        since heldAt: Timestamp, merchantID: Int64?, in db: any SQLConnection
    ) throws -> [ReceiverState] {
        try db.all(
            """
            \(ReceiverState.columns) WHERE r.paused_at = $1 AND r.merchant_id BETWEEN $2 AND $3
            ORDER BY r.id LIMIT $4 FOR UPDATE OF r
            """,
            [
                .time(heldAt), .int(merchantID ?? .min), .int(merchantID ?? .max), .int(Limits.receiversPerRelease),
            ], ReceiverState.init)
    }

    static func heldAt(in db: any SQLConnection) throws -> Timestamp? {
        let text = try db.first("SELECT value FROM meta WHERE name = 'held_at'") { $0.text(0) }
        return text.flatMap { Int64($0) }.map(Timestamp.init(microseconds:))
    }

    /// Forgets the hold once no receiver is held.
    private static func endHold(_ heldAt: Timestamp, in db: any SQLConnection) throws {
        let isLeft = try db.first("SELECT 1 FROM receivers WHERE paused_at = $1 LIMIT 1", [.time(heldAt)]) { $0.int(0) }
        guard isLeft == nil else { return }
        try db.run("DELETE FROM meta WHERE name = 'held_at'")
        try Notices.endHold(in: db)
    }
}
