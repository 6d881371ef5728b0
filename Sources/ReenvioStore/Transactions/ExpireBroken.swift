package import ReenvioModel

extension Store {
    /// Gives up what an open breaker has deferred for 72 hours: `exhausted`, with reason `receiver_broken`
    /// (`docs/contract.md` 3.4). A pause never does. Bounded; `now` is wall time, `engineNow` engine time.
    /// - Returns: how many were given up.
    package func expireBroken(now: Timestamp, engineNow: Timestamp) async throws -> Int {
        let before = engineNow - .seconds(Limits.brokenKeptSeconds)
        return try await engine.write(.janitor) { db in
            let receivers = try db.all(
                """
                \(ReceiverState.columns) WHERE broken_at IS NOT NULL AND broken_at <= $1 AND paused_at IS NULL
                ORDER BY broken_at
                """, [.time(before)], ReceiverState.init)
            var expired = 0
            for receiver in receivers where expired < Self.sweepMax {
                for lane in Lane.allCases where expired < Self.sweepMax {
                    let queue = QueueID(receiverID: receiver.id, lane: lane)
                    expired += try BrokenQueue(merchantID: receiver.merchantID, queue: queue, now: now)
                        .expire(before: before, limit: Self.sweepMax - expired, in: db)
                }
            }
            return expired
        }
    }
}

/// One queue of a broken receiver.
private struct BrokenQueue {
    let merchantID: Int64
    let queue: QueueID
    let now: Timestamp

    /// Ends what came due before; what is under way as a probe has a later due time, its lease.
    func expire(before: Timestamp, limit: Int, in db: any SQLConnection) throws -> Int {
        var ended = SQLRows([("merchant_id", .int), ("id", .int)])
        var settled = SQLRows(Settling.columns)
        var tallies = ResendTallies()
        try db.query(
            """
            SELECT d.id, coalesce(d.payout_id, d.event_id), d.resend_id, d.attempts, d.created_at,
                coalesce(d.notification_id, p.latest_notification_id), d.registration_id
            FROM deliveries d LEFT JOIN payouts p ON p.id = d.payout_id
            LEFT JOIN resends r ON r.id = d.resend_id
            WHERE d.merchant_id = $1 AND d.queue_id = $2 AND d.due_at <= $3 AND coalesce(r.sweep_pending, 0) = 0
            ORDER BY d.due_at, d.id LIMIT $4
            """, [.int(merchantID), .int(queue.raw), .time(before), .int(limit)]
        ) { row in
            ended.append([.int(merchantID), .int(row.int(0))])
            settled.append(
                Settling.row(
                    merchantID: merchantID, objectID: row.int(1), deliveryID: row.int(0), queue: queue,
                    notificationID: row.int(5), resendID: row.intIfPresent(2),
                    registrationID: row.intIfPresent(6), end: .exhausted, reason: .receiverBroken,
                    attempts: Int(row.int(3)), statusCode: nil, createdAt: row.time(4), endedAt: now))
            if let resendID = row.intIfPresent(2) {
                tallies.add(
                    .exhausted, merchantID: merchantID, resendID: resendID, isLog: !row.isNull(6),
                    failure: row.isNull(6) ? nil : .receiverPaused)
            }
        }
        try db.batch(
            """
            DELETE FROM deliveries USING {rows}
            WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
            """, ended)
        try db.batch(Settling.insert, settled)
        try tallies.save(now: now, in: db)
        return ended.count
    }
}
