package import ReenvioModel

extension Store {
    /// Lets open deliveries follow registrations that changed: to the receiver of a new URL, or out of the way of a
    /// deleted one, `skipped` as `canceled` (`docs/contract.md` 6.5). Bounded; `now` is wall time, `engineNow` engine
    /// time.
    /// - Returns: how many deliveries were moved or ended, and whether some are left.
    package func moveRegistrations(
        now: Timestamp, engineNow: Timestamp
    ) async throws -> (moved: Int, hasMore: Bool, wake: Bool) {
        try await engine.write(.janitor) { db in
            let moving = try db.all(
                """
                SELECT merchant_id, id, receiver_id, deleted_at IS NOT NULL FROM registrations
                WHERE is_moving = 1 ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
                """, [.int(Limits.registrationsPerSweep)]
            ) { MovingRegistration(merchantID: $0.int(0), id: $0.int(1), receiverID: $0.int(2), isDeleted: $0.bool(3)) }
            var moved = 0
            var hasMore = false
            var wake = false
            for registration in moving {
                let room = Self.sweepMax - moved
                guard room > 0 else { return (moved, true, wake) }
                let count =
                    try registration.isDeleted
                    ? registration.drop(limit: room, now: now, in: db)
                    : registration.follow(limit: room, engineNow: engineNow, in: db)
                moved += count
                wake = wake || (count > 0 && !registration.isDeleted)
                let isLeft = try registration.isLeftBehind(in: db)
                hasMore = hasMore || isLeft
                if !isLeft {
                    try db.run(
                        "UPDATE registrations SET is_moving = 0 WHERE merchant_id = $1 AND id = $2",
                        [.int(registration.merchantID), .int(registration.id)])
                }
            }
            return (moved, hasMore, wake)
        }
    }
}

private struct MovingRegistration {
    var merchantID: Int64
    var id: Int64
    var receiverID: Int64
    var isDeleted: Bool

    /// Ends what waits, under way or not: a result that comes later changes nothing.
    func drop(limit: Int, now: Timestamp, in db: any SQLConnection) throws -> Int {
        var ended = EndedDeliveries(now: now)
        try db.query(
            EndedDeliveries.load + """
                 WHERE d.merchant_id = $1 AND d.registration_id = $2 ORDER BY d.event_id LIMIT $3
                """, [.int(merchantID), .int(id), .int(limit)]
        ) { ended.add($0, end: .skipped, reason: .canceled) }
        try ended.save(in: db)
        return ended.count
    }

    /// Moves what waits at another receiver; what is under way there goes with its next attempt.
    func follow(limit: Int, engineNow: Timestamp, in db: any SQLConnection) throws -> Int {
        var rows = SQLRows([("merchant_id", .int), ("id", .int), ("queue_id", .int)])
        var wakes = QueueWakes()
        for elsewhere in queuesElsewhere where rows.count < limit {
            try db.query(
                Self.behind,
                [
                    .int(merchantID), .int(id), .int(elsewhere.lowerBound), .int(elsewhere.upperBound),
                    .time(engineNow), .int(limit - rows.count + Limits.attemptsInFlightPerNode),
                    .int(limit - rows.count),
                ]
            ) { row in
                guard let old = QueueID(raw: row.int(1)) else { return }
                let queue = QueueID(receiverID: receiverID, lane: old.lane)
                rows.append([.int(merchantID), .int(row.int(0)), .int(queue.raw)])
                wakes.add(merchantID, queue, due: row.time(2))
            }
        }
        try db.send(MovedDeliveries.move, rows)
        try wakes.save(in: db)
        return rows.count
    }

    func isLeftBehind(in db: any SQLConnection) throws -> Bool {
        let queues = isDeleted ? [Int64.min...Int64.max] : queuesElsewhere
        return try queues.contains { queues in
            try db.first(
                """
                SELECT 1 FROM deliveries
                WHERE merchant_id = $1 AND registration_id = $2 AND queue_id BETWEEN $3 AND $4 LIMIT 1
                """, [.int(merchantID), .int(id), .int(queues.lowerBound), .int(queues.upperBound)]
            ) { $0.int(0) } != nil
        }
    }

    /// The ids of all queues but its receiver's, below and above.
    private var queuesElsewhere: [ClosedRange<Int64>] {
        let own = Lane.allCases.map { QueueID(receiverID: receiverID, lane: $0).raw }
        return [Int64.min...(own.min() ?? 1) - 1, (own.max() ?? 0) + 1...Int64.max]
    }

    /// What has moved already is not met again: the index has the queue.
    private static let behind = """
        SELECT d.id, d.queue_id, d.due_at FROM (
            SELECT id FROM deliveries
            WHERE merchant_id = $1 AND registration_id = $2 AND queue_id BETWEEN $3 AND $4
            ORDER BY queue_id LIMIT $6) AS i
        LEFT JOIN deliveries d ON d.merchant_id = $1 AND d.id = i.id
        WHERE d.claim_token IS NULL OR d.due_at <= $5 LIMIT $7
        """
}
