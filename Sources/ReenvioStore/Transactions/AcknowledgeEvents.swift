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
        try db.batch(
            """
            UPDATE notifications SET acked_at = rows.at FROM {rows}
            WHERE notifications.id = rows.id AND acked_at IS NULL
            """, rows)
        var ended = EndedDeliveries(now: now)
        try db.batch(EndedDeliveries.load + Self.openLive, live) { row in
            ended.add(row, end: .skipped, reason: .acknowledgedElsewhere)
        }
        try ended.save(in: db)
    }

    private static let openLive = """
        , {rows}
        WHERE d.merchant_id = rows.merchant_id AND d.resend_id IS NULL AND d.id IN (
            SELECT i.id FROM deliveries i
            WHERE i.merchant_id = rows.merchant_id AND i.registration_id = rows.registration_id
                AND i.event_id = rows.event_id)
        """
}

/// Open deliveries that end without an attempt of their own: events of v3, and what a canceled job left behind.
struct EndedDeliveries {
    private let now: Timestamp
    private let counts: Bool
    private var deleted = SQLRows([("merchant_id", .int), ("id", .int)])
    private var settled = SQLRows(Settling.columns)
    private var tallies = ResendTallies()
    private var seen: Set<Int64> = []

    /// `counts`: whether their resends' tallies change; those of a canceled job were counted when it was canceled.
    init(now: Timestamp, counts: Bool = true) {
        self.now = now
        self.counts = counts
    }

    var count: Int { deleted.count }

    /// The columns that `add` reads, of deliveries of v3 called `d`. Which ones is better said by their ids out of an
    /// index that covers them: SQLite thinks that a merchant has few rows, and would look at all of them instead.
    static let columns = """
        d.merchant_id, d.id, d.event_id, d.queue_id, d.notification_id, d.resend_id, d.registration_id, d.attempts,
            d.created_at
        """

    static let load = """
        SELECT \(columns)
        FROM deliveries d
        """

    mutating func add(
        _ row: any SQLRow, end: DeliveryEnd, reason: AttemptFailure?, failure: LogFailure? = nil
    ) {
        guard let queue = QueueID(raw: row.int(3)), seen.insert(row.int(1)).inserted else { return }
        deleted.append([.int(row.int(0)), .int(row.int(1))])
        settled.append(
            Settling.row(
                merchantID: row.int(0), objectID: row.int(2), deliveryID: row.int(1), queue: queue,
                notificationID: row.int(4), resendID: row.intIfPresent(5), registrationID: row.intIfPresent(6),
                end: end, reason: reason, attempts: Int(row.int(7)), statusCode: nil, createdAt: row.time(8),
                endedAt: now))
        if counts, let resendID = row.intIfPresent(5) {
            tallies.add(
                end, merchantID: row.int(0), resendID: resendID, isLog: true,
                failure: failure ?? LogFailure(end, reason: reason, statusCode: nil))
        }
    }

    func save(in db: any SQLConnection) throws {
        try db.batch(
            """
            DELETE FROM deliveries USING {rows}
            WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
            """, deleted)
        try db.batch(Settling.insert, settled)
        try tallies.save(now: now, in: db)
    }
}
