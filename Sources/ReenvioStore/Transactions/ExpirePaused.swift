package import ReenvioModel

extension Store {
    /// Gives up the messages of v3 resends that waited a day behind a pause or an open breaker: they count as failed
    /// (`docs/contract.md` 6.4). Bounded; `now` is wall time.
    /// - Returns: how many were given up.
    package func expirePausedLogs(now: Timestamp) async throws -> Int {
        let before = now - .seconds(Limits.logWaitSeconds)
        return try await engine.write(.janitor) { db in
            let logs = try db.all(
                """
                SELECT merchant_id, id FROM resends WHERE state = 'awaiting' AND started_at <= $1
                ORDER BY started_at LIMIT $2
                """, [.time(before), .int(Self.sweepMax)]
            ) { (merchantID: $0.int(0), id: $0.int(1)) }
            var ended = EndedDeliveries(now: now)
            for log in logs where ended.count < Self.sweepMax {
                try db.query(
                    EndedDeliveries.load + """
                         JOIN queues q ON q.merchant_id = d.merchant_id AND q.id = d.queue_id AND q.parked = 1
                        WHERE d.merchant_id = $1 AND d.resend_id = $2 AND d.event_id IS NOT NULL
                            AND d.created_at <= $3 LIMIT $4
                        """,
                    [.int(log.merchantID), .int(log.id), .time(before), .int(Self.sweepMax - ended.count)]
                ) { ended.add($0, end: .exhausted, reason: .receiverBroken, failure: .receiverPaused) }
            }
            try ended.save(in: db)
            return ended.count
        }
    }
}
