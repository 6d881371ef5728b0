import ReenvioModel

/// Acknowledged events of v3: dated, and where a resend was faster, the live delivery to the same registration is
/// settled with it. Those to other registrations go on: they are other receivers.
struct AcknowledgeEvents {
    private let acked: [ClaimedDelivery]
    private let now: Timestamp

    init(_ acked: [ClaimedDelivery], now: Timestamp) {
        self.acked = acked
        self.now = now
    }

    func write(in db: any SQLConnection) throws {
        var rows = SQLRows([("id", .int), ("at", .int)])
        var live = SQLRows([("merchant_id", .int), ("registration_id", .int), ("event_id", .int)])
        for claimed in acked {
            guard let event = claimed.event else { continue }
            rows.append([.int(claimed.notificationID), .time(now)])
            if claimed.resendID != nil {
                live.append([.int(claimed.merchantID), .int(event.registrationID), .int(event.id)])
            }
        }
        try db.send(
            """
            UPDATE notifications SET acked_at = rows.at FROM {rows}
            WHERE notifications.id = rows.id AND acked_at IS NULL
            """, rows)
        var ended = EndedDeliveries(now: now)
        try db.batch(EndedDeliveries.loadOfEvents + " WHERE d.resend_id IS NULL", live) { row in
            ended.add(row, end: .skipped, reason: .acknowledgedElsewhere)
        }
        try ended.save(in: db)
    }
}
