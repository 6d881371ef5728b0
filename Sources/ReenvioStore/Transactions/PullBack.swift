package import ReenvioModel

extension Store {
    /// Pulls back to now what lies beyond `farthest`: due times, leases, holds, probes and slots written by a clock
    /// that was ahead (`EngineStart.farthest`). Bounded; what a queue holds behind an earlier due time is met once
    /// that queue has come to it. Both are engine times.
    /// - Returns: how many rows were pulled back.
    package func pullBack(beyond farthest: Timestamp, now: Timestamp) async throws -> Int {
        try await engine.write(.janitor) { db in
            let times: [SQLValue] = [.time(farthest), .time(now), .int(Self.sweepMax)]
            var count = 0
            for lane in Lane.allCases {
                count += try Self.pullBackQueues(lane, beyond: farthest, now: now, in: db)
            }
            for receivers in [Self.resumingLate, Self.brokenLate] {
                count += try db.run("\(Self.pullBackReceivers) (\(receivers))", times)
            }
            count += try db.run(Self.pullBackSlots, [.time(farthest), .time(now)])
            return count + (try db.run(Self.pullBackNotices, times + [.int(Int64.max)]))
        }
    }

    private static func pullBackQueues(
        _ lane: Lane, beyond farthest: Timestamp, now: Timestamp, in db: any SQLConnection
    ) throws -> Int {
        let queues = try db.all(
            """
            SELECT merchant_id, id FROM queues
            WHERE parked = 0 AND lane = \(lane.rawValue) AND next_due > $1 AND next_due < $2
            ORDER BY next_due LIMIT 200 FOR UPDATE SKIP LOCKED
            """, [.time(farthest), .int(Int64.max)]
        ) { (merchantID: $0.int(0), id: $0.int(1)) }
        var count = 0
        for queue in queues where count < sweepMax {
            count += try db.run(
                """
                UPDATE deliveries SET due_at = $4 WHERE (merchant_id, id) IN (
                    SELECT merchant_id, id FROM deliveries WHERE merchant_id = $1 AND queue_id = $2 AND due_at > $3
                    ORDER BY due_at DESC LIMIT $5)
                """,
                [
                    .int(queue.merchantID), .int(queue.id), .time(farthest), .time(now), .int(sweepMax),
                ])
            try db.run(
                "UPDATE queues SET next_due = $3 WHERE merchant_id = $1 AND id = $2",
                [.int(queue.merchantID), .int(queue.id), .time(now)])
        }
        return count
    }

    private static let pullBackReceivers: String = {
        let columns = ["resume_at", "probe_at", "held_until", "broken_at", "probed_at", "probing_since", "acked_at"]
        let pulled = columns.map { "\($0) = CASE WHEN \($0) > $1 THEN $2 ELSE \($0) END" }
        return "UPDATE receivers SET \(pulled.joined(separator: ", ")) WHERE id IN"
    }()

    private static let resumingLate =
        "SELECT id FROM receivers WHERE resume_at > $1 AND resume_at IS NOT NULL AND paused_at IS NULL LIMIT $3"
    private static let brokenLate = "SELECT id FROM receivers WHERE broken_at > $1 AND broken_at IS NOT NULL LIMIT $3"

    private static let pullBackSlots =
        "UPDATE resends SET next_slot = $2 WHERE state = 'processing' AND next_slot > $1"

    private static let pullBackNotices = """
        UPDATE notices SET due_at = $2 WHERE id IN (SELECT id FROM notices WHERE due_at > $1 AND due_at < $4 LIMIT $3)
        """
}
