import ReenvioModel

/// Open deliveries that end without an attempt of their own: events of v3, and what a canceled job left behind.
struct EndedDeliveries {
    private let now: Timestamp
    private let counts: Bool
    private var deleted = SQLRows([("merchant_id", .int), ("id", .int)])
    private var open: [Open] = []
    private var seen: Set<Int64> = []

    private struct Open {
        var merchantID: Int64
        var id: Int64
        var objectID: Int64
        var queue: QueueID
        var notificationID: Int64
        var resendID: Int64?
        var registrationID: Int64?
        var attempts: Int
        var createdAt: Timestamp
        var end: DeliveryEnd
        var reason: AttemptFailure?
        var failure: LogFailure?

        var isLog: Bool { registrationID != nil }

        var exhausted: ExhaustedDelivery {
            ExhaustedDelivery(
                merchantID: merchantID, receiverID: queue.receiverID, notificationID: notificationID,
                attempts: attempts, reason: reason)
        }

        func settled(as end: DeliveryEnd, _ reason: AttemptFailure?, at now: Timestamp) -> [SQLValue] {
            Settling.row(
                merchantID: merchantID, objectID: objectID, deliveryID: id, queue: queue,
                notificationID: notificationID, resendID: resendID, registrationID: registrationID, end: end,
                reason: reason, attempts: attempts, statusCode: nil, createdAt: createdAt, endedAt: now)
        }
    }

    /// `counts`: whether their resends' tallies change; those of a canceled resend were counted by the cancel.
    init(now: Timestamp, counts: Bool = true) {
        self.now = now
        self.counts = counts
    }

    var count: Int { deleted.count }

    /// The columns that `add` reads, of deliveries of v3 called `d`.
    static let columns = """
        d.merchant_id, d.id, d.event_id, d.queue_id, d.notification_id, d.resend_id, d.registration_id, d.attempts,
            d.created_at
        """

    static let load = """
        SELECT \(columns)
        FROM deliveries d
        """

    /// Deliveries that are called `i` where they are chosen, out of an index that covers that. SQLite thinks that a
    /// merchant has few rows, and would look at all of them instead. So does PostgreSQL as long as there are few,
    /// unless an outer join says which comes first, and a sum that the merchant is not known before.
    static let chosen = "deliveries i LEFT JOIN deliveries d ON d.merchant_id = i.merchant_id + 0 AND d.id = i.id"

    /// Of events at registrations. The order, and a range of one, tell the index that ends with the event from the one
    /// that ends with the queue.
    static let loadOfEvents = """
        SELECT \(columns)
        FROM {rows} CROSS JOIN LATERAL (
            SELECT merchant_id, id FROM deliveries
            WHERE merchant_id = rows.merchant_id AND registration_id = rows.registration_id
                AND event_id BETWEEN rows.event_id AND rows.event_id
            ORDER BY event_id) AS i
        LEFT JOIN deliveries d ON d.merchant_id = i.merchant_id AND d.id = i.id
        """

    mutating func add(
        _ row: any SQLRow, end: DeliveryEnd, reason: AttemptFailure?, failure: LogFailure? = nil
    ) {
        guard let queue = QueueID(raw: row.int(3)), seen.insert(row.int(1)).inserted else { return }
        deleted.append([.int(row.int(0)), .int(row.int(1))])
        let isLog = !row.isNull(6)
        let logFailure = isLog ? failure ?? LogFailure(end, reason: reason, statusCode: nil) : nil
        open.append(
            Open(
                merchantID: row.int(0), id: row.int(1), objectID: row.int(2), queue: queue, notificationID: row.int(4),
                resendID: row.intIfPresent(5), registrationID: row.intIfPresent(6), attempts: Int(row.int(7)),
                createdAt: row.time(8), end: end, reason: reason, failure: logFailure))
    }

    /// Ends those that are still open: another node may have ended some since they were read. What belongs to a
    /// canceled log is skipped and was counted by the cancel.
    /// - Returns: those of them that were given up.
    @discardableResult
    func save(in db: any SQLConnection) throws -> [ExhaustedDelivery] {
        let logs = Set(open.lazy.compactMap { $0.isLog ? $0.resendID : nil })
        if counts { try EndLogs.lock(logs, in: db) }
        let canceled = try counts ? CanceledJobs.among(logs, in: db) : []
        var rows = SQLRows(Settling.columns)
        var tallies = ResendTallies()
        var given: [ExhaustedDelivery] = []
        for (found, isOurs) in zip(open, try db.effects(Self.delete, deleted)) where isOurs {
            let isCanceled = found.resendID.map(canceled.contains) ?? false
            let end = isCanceled ? .skipped : found.end
            rows.append(found.settled(as: end, isCanceled ? .canceled : found.reason, at: now))
            if end == .exhausted { given.append(found.exhausted) }
            guard counts, !isCanceled, let resendID = found.resendID else { continue }
            tallies.add(
                end, merchantID: found.merchantID, resendID: resendID, isLog: found.isLog, failure: found.failure)
        }
        try db.send(Settling.insert, rows)
        try tallies.save(now: now, in: db)
        return given
    }

    static let delete = """
        DELETE FROM deliveries USING {rows}
        WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
        """
}
