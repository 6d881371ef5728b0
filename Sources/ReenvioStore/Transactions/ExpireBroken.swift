package import ReenvioModel

extension Store {
    /// Gives up what an open breaker has deferred for 72 hours in which probes went out without a break and failed:
    /// `exhausted`, with reason `receiver_broken` (`docs/contract.md` 3.4). Neither a pause nor an absence of our own
    /// does. Bounded; `now` is wall time, `engineNow` engine time.
    /// - Returns: how many were given up.
    package func expireBroken(now: Timestamp, engineNow: Timestamp) async throws -> Int {
        let before = engineNow - .seconds(Limits.brokenKeptSeconds)
        let (count, told) = try await engine.write(.janitor) { db in
            let receivers = try db.all(
                """
                \(ReceiverState.columns)
                WHERE r.broken_at IS NOT NULL AND r.broken_at <= $1 AND r.paused_at IS NULL AND r.probing_since <= $1
                    AND (r.probed_at > $2 OR r.held_until > $2)
                ORDER BY r.broken_at
                """, [.time(before), .time(engineNow - Breaker.longestGap)], ReceiverState.init)
            var expired = 0
            var exhausted: [ExhaustedDelivery] = []
            for receiver in receivers where expired < Self.sweepMax {
                for lane in Lane.allCases where expired < Self.sweepMax {
                    let queue = QueueID(receiverID: receiver.id, lane: lane)
                    expired += try BrokenQueue(merchantID: receiver.merchantID, queue: queue, now: now)
                        .expire(before: before, limit: Self.sweepMax - expired, into: &exhausted, in: db)
                }
            }
            return (expired, try tell(try OperatorNotice.exhausted(exhausted, at: now, in: db), in: db))
        }
        announce(told)
        return count
    }
}

/// One queue of a broken receiver.
private struct BrokenQueue {
    let merchantID: Int64
    let queue: QueueID
    let now: Timestamp

    /// Ends what came due before; what is under way as a probe has a later due time, its lease.
    func expire(
        before: Timestamp, limit: Int, into exhausted: inout [ExhaustedDelivery], in db: any SQLConnection
    ) throws -> Int {
        var open = try open(before: before, limit: limit, in: db)
        try EndLogs.lock(open.lazy.compactMap { $0.isLog ? $0.tallyKey?.resendID : nil }, in: db)
        try ResendTallies.lock(open.lazy.compactMap { $0.isLog ? nil : $0.tallyKey }, in: db)
        let canceled = try CanceledJobs.among(Set(open.lazy.compactMap { $0.tallyKey?.resendID }), in: db)
        open.removeAll { $0.tallyKey.map { canceled.contains($0.resendID) } ?? false }
        var rows = SQLRows([("merchant_id", .int), ("id", .int)])
        for delivery in open { rows.append([.int(merchantID), .int(delivery.id)]) }
        var settled = SQLRows(Settling.columns)
        var tallies = ResendTallies()
        for (delivery, isOurs) in zip(open, try db.effects(EndedDeliveries.delete, rows)) where isOurs {
            settled.append(delivery.settled)
            exhausted.append(delivery.exhausted)
            guard let key = delivery.tallyKey else { continue }
            tallies.add(
                .exhausted, merchantID: merchantID, resendID: key.resendID, isLog: delivery.isLog,
                failure: delivery.isLog ? .receiverPaused : nil)
        }
        try db.send(Settling.insert, settled)
        try tallies.save(now: now, in: db)
        return open.count
    }

    private struct Open {
        var id: Int64
        var tallyKey: ResendTallies.Key?
        var isLog: Bool
        var settled: [SQLValue]
        var exhausted: ExhaustedDelivery
    }

    private func open(before: Timestamp, limit: Int, in db: any SQLConnection) throws -> [Open] {
        var open: [Open] = []
        try db.query(
            """
            SELECT d.id, coalesce(d.payout_id, d.event_id), d.resend_id, d.attempts, d.created_at,
                coalesce(d.notification_id, p.latest_notification_id), d.registration_id, d.payout_id
            FROM deliveries d LEFT JOIN payouts p ON p.id = d.payout_id
            LEFT JOIN resends r ON r.id = d.resend_id
            WHERE d.merchant_id = $1 AND d.queue_id = $2 AND d.due_at <= $3 AND coalesce(r.sweep_pending, 0) = 0
            ORDER BY d.due_at, d.id LIMIT $4
            """, [.int(merchantID), .int(queue.raw), .time(before), .int(limit)]
        ) { row in
            let settled = Settling.row(
                merchantID: merchantID, objectID: row.int(1), deliveryID: row.int(0), queue: queue,
                notificationID: row.int(5), resendID: row.intIfPresent(2),
                registrationID: row.intIfPresent(6), end: .exhausted, reason: .receiverBroken,
                attempts: Int(row.int(3)), statusCode: nil, createdAt: row.time(4), endedAt: now)
            let key = row.intIfPresent(2).map { ResendTallies.Key(merchantID: merchantID, resendID: $0) }
            let exhausted = ExhaustedDelivery(
                merchantID: merchantID, receiverID: queue.receiverID, notificationID: row.int(5),
                payoutID: row.intIfPresent(7), attempts: Int(row.int(3)), reason: .receiverBroken)
            open.append(
                Open(
                    id: row.int(0), tallyKey: key, isLog: !row.isNull(6), settled: settled, exhausted: exhausted))
        }
        return open
    }
}
