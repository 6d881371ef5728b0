import ReenvioModel

/// Webhooks of stored payouts that an import says were acknowledged elsewhere: dated, counted and settled like an
/// acknowledgement that came here (`docs/contract.md` 4.2, `docs/architecture.md`, rule 3).
struct AcknowledgeImported {
    private let acknowledged: [(webhook: KnownPayouts.Unacknowledged, at: Timestamp)]
    private let clocks: MerchantClocks
    private let now: Timestamp

    init(
        _ acknowledged: [(webhook: KnownPayouts.Unacknowledged, at: Timestamp)], clocks: MerchantClocks, now: Timestamp
    ) {
        self.acknowledged = acknowledged
        self.clocks = clocks
        self.now = now
    }

    func write(in db: any SQLConnection) throws {
        if acknowledged.isEmpty { return }
        try markWebhooks(in: db)
        try markEvents(in: db)
        try settleLive(in: db)
    }

    private func markWebhooks(in db: any SQLConnection) throws {
        var rows = SQLRows([("id", .int), ("at", .int), ("seq", .int)])
        for (webhook, at) in acknowledged {
            rows.append([.int(webhook.notificationID), .time(at), .int(clocks.current(webhook.merchantID))])
        }
        let marked = try db.effects(
            """
            UPDATE notifications SET acked_at = rows.at, acked_seq = rows.seq FROM {rows}
            WHERE notifications.id = rows.id AND acked_at IS NULL
            """, rows)
        var changes = SQLRows([("merchant_id", .int), ("seq", .int)])
        for ((webhook, _), isFirst) in zip(acknowledged, marked) where isFirst {
            changes.append([.int(webhook.merchantID), .int(webhook.seq)])
        }
        var counts = MatchCounts()
        try db.batch(
            """
            SELECT c.merchant_id, c.status_id, c.changed_s, p.receiver_id
            FROM status_changes c JOIN payouts p ON p.id = c.payout_id, {rows}
            WHERE c.merchant_id = rows.merchant_id AND c.seq = rows.seq AND c.superseded_seq IS NULL
            """, changes
        ) { row in
            guard let status = PayoutStatus(id: row.int(1)) else { throw StoreError.failed("unknown status") }
            counts.add(
                row.int(0), status, receiverID: row.intIfPresent(3) ?? 0, second: row.int(2), current: 0, unacked: -1)
        }
        try counts.save(in: db)
    }

    /// The same change as v3 has it.
    private func markEvents(in db: any SQLConnection) throws {
        var rows = SQLRows([("merchant_id", .int), ("seq", .int), ("at", .int)])
        for (webhook, at) in acknowledged { rows.append([.int(webhook.merchantID), .int(webhook.seq), .time(at)]) }
        var events = SQLRows([("id", .int), ("at", .int)])
        try db.batch(
            """
            SELECT e.notification_id, rows.at FROM object_events e, {rows}
            WHERE e.merchant_id = rows.merchant_id AND e.seq = rows.seq
            """, rows
        ) { events.append([.int($0.int(0)), .int($0.int(1))]) }
        try db.send(
            """
            UPDATE notifications SET acked_at = rows.at FROM {rows}
            WHERE notifications.id = rows.id AND acked_at IS NULL
            """, events)
    }

    /// What was reported here and is still being sent need not be sent any more; another system was faster.
    private func settleLive(in db: any SQLConnection) throws {
        var rows = SQLRows([("id", .int)])
        for (webhook, _) in acknowledged { rows.append([.int(webhook.notificationID)]) }
        var ended = EndedDeliveries(now: now)
        try db.batch(
            """
            SELECT d.merchant_id, d.id, d.payout_id, d.queue_id, d.notification_id, d.resend_id, d.registration_id,
                d.attempts, d.created_at
            FROM notifications n
            JOIN deliveries d ON d.merchant_id = n.merchant_id AND d.id = n.live_delivery_id, {rows}
            WHERE n.id = rows.id
            """, rows
        ) { ended.add($0, end: .skipped, reason: .acknowledgedElsewhere) }
        try ended.save(in: db)
    }
}
