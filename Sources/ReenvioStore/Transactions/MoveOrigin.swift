package import ReenvioModel

/// What a call of a move did, or would do (`docs/contract.md` 13.16).
package struct OriginMoved: Equatable, Sendable {
    package var payouts: Int64 = 0
    package var openDeliveries: Int64 = 0
    package var registrations: Int64 = 0
    /// Registrations whose tokens are gone with their old origin.
    package var tokensCleared: Int64 = 0
    /// Payouts left where they are, because their URL would be too long.
    package var tooLong: Int64 = 0
    /// Where to go on; nil at the end.
    package var next: Int64?

    package init() {}

    /// Together with what the next call did.
    package mutating func add(_ other: OriginMoved) {
        payouts += other.payouts
        openDeliveries += other.openDeliveries
        registrations += other.registrations
        tokensCleared += other.tokensCleared
        tooLong += other.tooLong
        next = other.next
    }

    /// The answer to `move` (`docs/contract.md` 13.16).
    package func writeMembers(of move: OriginMove, into writer: inout JSONWriter) {
        writer.member("merchant_id", move.merchantID)
        writer.member("from", move.from)
        writer.member("to", move.to.origin)
        writer.member("dry_run", move.isDryRun)
        writer.member("payouts", payouts)
        writer.member("open_deliveries", openDeliveries)
        writer.member("registrations", registrations)
        writer.member("tokens_cleared", tokensCleared)
        writer.member("too_long", tooLong)
        writer.member("next", next.map { CursorPage.cursor($0) })
    }
}

extension Store {
    /// Moves a merchant's URLs to another origin, a bounded commit at a time; each commit leaves a sound store, so that
    /// a move that was interrupted is finished by asking for it again. Returns after `Limits.changesPerMove` changes.
    package func moveOrigin(_ move: OriginMove, by requester: Requester, now: Timestamp) async throws -> OriginMoved {
        var moved = OriginMoved()
        var position = move.after ?? 0
        if move.after == nil { moved = try await beginMove(move, by: requester, now: now) }
        var seen = 0
        while true {
            guard seen < Limits.changesPerMove else {
                moved.next = position
                return moved
            }
            let step = try await movePayouts(move, after: position, now: now)
            moved.payouts += step.moved
            moved.tooLong += step.tooLong
            seen += step.seen
            position = step.last
            if step.seen < Limits.changesPerMoveStep { break }
        }
        if move.isDryRun {
            moved.openDeliveries = try await countOpen(move)
            return moved
        }
        while true {
            guard moved.openDeliveries < Limits.changesPerMove else {
                moved.next = max(position, 1)
                return moved
            }
            let followed = try await moveDeliveries(move)
            moved.openDeliveries += Int64(followed)
            if followed < Limits.changesPerMoveStep { return moved }
        }
    }

    private static func receiver(_ origin: String, of merchantID: Int64, in db: any SQLConnection) throws -> Int64? {
        try db.first(
            "SELECT id FROM receivers WHERE merchant_id = $1 AND origin = $2", [.int(merchantID), .text(origin)]
        ) { $0.int(0) }
    }

    // MARK: Registrations

    private func beginMove(
        _ move: OriginMove, by requester: Requester, now: Timestamp
    ) async throws -> OriginMoved {
        if move.isDryRun { return try await engine.read { db in try Self.registrations(of: move, in: db).counted } }
        return try await engine.write(.intake) { db in
            let accountID = try db.first(
                "SELECT account_id FROM merchants WHERE id = $1 FOR UPDATE", [.int(move.merchantID)]
            ) { $0.int(0) }
            try db.query(
                "SELECT id FROM registrations WHERE merchant_id = $1 ORDER BY id FOR UPDATE", [.int(move.merchantID)]
            ) { _ in }
            let found = try Self.registrations(of: move, in: db)
            if !found.all.isEmpty {
                let receiverID = try Receivers.find(or: [(move.merchantID, move.to.origin)], now, in: db)[0] ?? 0
                for registration in found.all {
                    try moveRegistration(registration, move, receiverID: receiverID, now: now, in: db)
                }
            }
            let entry = Audit.Entry(
                at: now, accountID: accountID, by: requester, action: "merchant.move-urls",
                target: "merchant \(move.merchantID)", parameters: "from \(move.from) to \(move.to.origin)")
            try Audit.write(entry, in: db)
            return found.counted
        }
    }

    private struct MovingRegistrations {
        var all: [(id: Int64, url: String, type: String, hasTokens: Bool)] = []
        var counted = OriginMoved()
    }

    private static func registrations(of move: OriginMove, in db: any SQLConnection) throws -> MovingRegistrations {
        var found = MovingRegistrations()
        guard let from = try receiver(move.from, of: move.merchantID, in: db) else { return found }
        found.all = try db.all(
            """
            SELECT id, url, type, coalesce(authorization_sealed, functions_key_sealed) IS NOT NULL FROM registrations
            WHERE merchant_id = $1 AND receiver_id = $2 AND deleted_at IS NULL ORDER BY id
            """, [.int(move.merchantID), .int(from)]
        ) { ($0.int(0), $0.text(1), $0.text(2), $0.bool(3)) }
        found.counted.registrations = Int64(found.all.count)
        let isGiven = move.authorizationToken != nil || move.functionsKey != nil
        found.counted.tokensCleared = isGiven ? 0 : Int64(found.all.count(where: \.hasTokens))
        return found
    }

    /// Its tokens were for the old origin. Where an equal registration is at the new one already, that one stays.
    private func moveRegistration(
        _ registration: (id: Int64, url: String, type: String, hasTokens: Bool), _ move: OriginMove,
        receiverID: Int64, now: Timestamp, in db: any SQLConnection
    ) throws {
        let url = move.moved(registration.url) ?? move.to.originText
        let twin = try db.first(
            """
            SELECT id FROM registrations
            WHERE merchant_id = $1 AND receiver_id = $2 AND url = $3 AND type = $4 AND deleted_at IS NULL LIMIT 1
            """, [.int(move.merchantID), .int(receiverID), .text(url), .text(registration.type)]
        ) { $0.int(0) }
        let key: [SQLValue] = [.int(move.merchantID), .int(registration.id)]
        guard twin == nil else {
            try db.run(
                """
                UPDATE registrations SET deleted_at = $3, is_moving = 1, authorization_sealed = NULL,
                    functions_key_sealed = NULL
                WHERE merchant_id = $1 AND id = $2
                """, key + [.time(now)])
            return
        }
        try db.run(
            """
            UPDATE registrations SET url = $3, receiver_id = $4, is_moving = 1, authorization_sealed = $5,
                functions_key_sealed = $6, key_id = $7
            WHERE merchant_id = $1 AND id = $2
            """,
            key + [
                .text(url), .int(receiverID),
                .optional(try seal(move.authorizationToken, .authorization, id: registration.id)),
                .optional(try seal(move.functionsKey, .functionsKey, id: registration.id)), .text(sealing.id),
            ])
    }

    // MARK: Payouts

    private struct MoveStep {
        var moved: Int64 = 0
        var tooLong: Int64 = 0
        var seen = 0
        var last: Int64
    }

    private func movePayouts(_ move: OriginMove, after position: Int64, now: Timestamp) async throws -> MoveStep {
        if move.isDryRun { return try await engine.read { db in try Self.look(move, position, in: db).step } }
        return try await engine.write(.bulk) { db in
            // Reports, acknowledgements and imports of the merchant wait until the commit.
            _ = try MerchantClocks(locking: [move.merchantID], in: db)
            let found = try Self.look(move, position, in: db)
            if found.payouts.isEmpty { return found.step }
            let to = try Receivers.find(or: [(move.merchantID, move.to.origin)], now, in: db)[0] ?? 0
            try MovePayoutURLs(
                found.payouts.map { payout in
                    var payout = payout
                    payout.to = to
                    return payout
                }
            ).write(in: db)
            return found.step
        }
    }

    /// The next changes on the merchant's clock, and which of their payouts are at the old origin.
    private static func look(
        _ move: OriginMove, _ position: Int64, in db: any SQLConnection
    ) throws -> (payouts: [MovePayoutURLs.Payout], step: MoveStep) {
        var step = MoveStep(last: position)
        var wanted = SQLRows([("id", .int), ("receiver_id", .int)])
        guard let from = try receiver(move.from, of: move.merchantID, in: db) else { return ([], step) }
        try db.query(
            """
            SELECT seq, payout_id, sequence FROM status_changes WHERE merchant_id = $1 AND seq > $2
            ORDER BY seq LIMIT $3
            """, [.int(move.merchantID), .int(position), .int(Limits.changesPerMoveStep)]
        ) { row in
            step.seen += 1
            step.last = row.int(0)
            // Each payout once: at its creation.
            if row.int(2) == 1 { wanted.append([.int(row.int(1)), .int(from)]) }
        }
        var payouts: [MovePayoutURLs.Payout] = []
        try db.batch(
            """
            SELECT p.id, p.latest_seq, p.notification_url FROM payouts p, {rows}
            WHERE p.id = rows.id AND p.receiver_id = rows.receiver_id AND p.notification_url IS NOT NULL
            """, wanted
        ) { row in
            guard let url = move.moved(row.text(2)) else {
                step.tooLong += 1
                return
            }
            payouts.append(
                MovePayoutURLs.Payout(
                    id: row.int(0), merchantID: move.merchantID, latestSeq: row.int(1), from: from, to: from, url: url))
        }
        step.moved = Int64(payouts.count)
        return (payouts, step)
    }

    // MARK: Open deliveries

    private static func queues(of receiverID: Int64) -> [QueueID] {
        Lane.allCases.map { QueueID(receiverID: receiverID, lane: $0) }
    }

    /// What waits at the old receiver although its payout is elsewhere.
    private func moveDeliveries(_ move: OriginMove) async throws -> Int {
        try await engine.write(.bulk) { db in
            _ = try MerchantClocks(locking: [move.merchantID], in: db)
            // A chunk that read the old receiver has committed when its resend can be locked; later ones read the new.
            try db.query(
                "SELECT id FROM resends WHERE merchant_id = $1 AND state = 'processing' ORDER BY id FOR UPDATE",
                [.int(move.merchantID)]
            ) { _ in }
            guard let from = try Self.receiver(move.from, of: move.merchantID, in: db) else { return 0 }
            var following = FollowingDeliveries(merchantID: move.merchantID)
            for queue in Self.queues(of: from) where following.count < Limits.changesPerMoveStep {
                try db.query(
                    """
                    SELECT d.id, d.due_at, p.receiver_id FROM deliveries d JOIN payouts p ON p.id = d.payout_id
                    WHERE d.merchant_id = $1 AND d.queue_id = $2 AND p.receiver_id <> $3
                    ORDER BY d.due_at, d.id LIMIT $4
                    """,
                    [
                        .int(move.merchantID), .int(queue.raw), .int(from),
                        .int(Limits.changesPerMoveStep - following.count),
                    ]
                ) { following.add(id: $0.int(0), queue: queue, due: $0.time(1), to: $0.int(2)) }
            }
            try following.save(in: db)
            return following.count
        }
    }

    private func countOpen(_ move: OriginMove) async throws -> Int64 {
        try await engine.read { db in
            guard let from = try Self.receiver(move.from, of: move.merchantID, in: db) else { return 0 }
            return try Self.queues(of: from).reduce(0) { sum, queue in
                let count = try db.first(
                    """
                    SELECT count(*) FROM deliveries
                    WHERE merchant_id = $1 AND queue_id = $2 AND payout_id IS NOT NULL
                    """, [.int(move.merchantID), .int(queue.raw)]
                ) { $0.int(0) }
                return sum + (count ?? 0)
            }
        }
    }
}
