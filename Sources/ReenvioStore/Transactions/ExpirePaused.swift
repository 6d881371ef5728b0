package import ReenvioModel

extension Store {
    /// Gives up the messages of v3 resends that waited a day behind a pause or an open breaker, and those that could
    /// not be opened for a day: they count as failed (`docs/contract.md` 6.4). Those of a resend whose walk goes on
    /// are among them: it waits for their room. Bounded; `now` is wall time.
    /// - Returns: how many were given up.
    package func expirePausedLogs(now: Timestamp) async throws -> Int {
        let before = now - .seconds(Limits.logWaitSeconds)
        let (count, told) = try await engine.write(.janitor) { db in
            var ended = EndedDeliveries(now: now)
            for sql in [Self.oldAwaiting, Self.oldRunning] {
                let logs = try db.all(sql, [.time(before), .int(Self.sweepMax)]) {
                    (merchantID: $0.int(0), id: $0.int(1))
                }
                for log in logs where ended.count < Self.sweepMax {
                    let room = Self.sweepMax - ended.count
                    try db.query(
                        Self.stuck,
                        [
                            .int(log.merchantID), .int(log.id), .time(before), .int(room),
                            .int(RetrySchedule.logResend.waits.count),
                        ]
                    ) { row in
                        if row.bool(9) {
                            ended.add(row, end: .exhausted, reason: .receiverBroken, failure: .receiverPaused)
                        } else {
                            ended.add(row, end: .stopped, reason: nil, failure: .unreadable)
                        }
                    }
                }
            }
            let exhausted = try ended.save(in: db)
            return (ended.count, try tell(try OperatorNotice.exhausted(exhausted, at: now, in: db), in: db))
        }
        announce(told)
        return count
    }

    private static let oldAwaiting = """
        SELECT merchant_id, id FROM resends WHERE state = 'awaiting' AND started_at <= $1
        ORDER BY started_at LIMIT $2
        """

    private static let oldRunning = """
        SELECT merchant_id, id FROM resends
        WHERE state = 'processing' AND log_status IS NOT NULL AND started_at <= $1 ORDER BY id LIMIT $2
        """

    /// Of one resend: behind a parked queue, or claimed more often than the schedule has attempts, which only happens
    /// to what cannot be sent.
    private static let stuck = """
        SELECT \(EndedDeliveries.columns), q.parked FROM \(EndedDeliveries.chosen)
        LEFT JOIN queues q ON q.merchant_id = d.merchant_id AND q.id = d.queue_id
        WHERE i.merchant_id = $1 AND i.resend_id = $2 AND i.event_id IS NOT NULL
            AND coalesce(d.created_at, $3) <= $3 AND (q.parked = 1 OR d.attempts > $5)
        ORDER BY i.event_id LIMIT $4
        """
}
