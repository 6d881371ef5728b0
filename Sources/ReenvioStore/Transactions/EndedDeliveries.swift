import ReenvioModel

/// Open deliveries that end without an attempt of their own: events of v3, and what a canceled job left behind.
struct EndedDeliveries {
    private let now: Timestamp
    private let counts: Bool
    private var deleted = SQLRows([("merchant_id", .int), ("id", .int)])
    private var settled: [(row: [SQLValue], tally: Tally?, exhausted: ExhaustedDelivery?)] = []
    private var seen: Set<Int64> = []

    private struct Tally {
        var end: DeliveryEnd
        var merchantID: Int64
        var resendID: Int64
        var isLog: Bool
        var failure: LogFailure?
    }

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
        let ended = Settling.row(
            merchantID: row.int(0), objectID: row.int(2), deliveryID: row.int(1), queue: queue,
            notificationID: row.int(4), resendID: row.intIfPresent(5), registrationID: row.intIfPresent(6),
            end: end, reason: reason, attempts: Int(row.int(7)), statusCode: nil, createdAt: row.time(8),
            endedAt: now)
        var tally: Tally?
        if counts, let resendID = row.intIfPresent(5) {
            let isLog = !row.isNull(6)
            tally = Tally(
                end: end, merchantID: row.int(0), resendID: resendID, isLog: isLog,
                failure: isLog ? failure ?? LogFailure(end, reason: reason, statusCode: nil) : nil)
        }
        var exhausted: ExhaustedDelivery?
        if end == .exhausted {
            exhausted = ExhaustedDelivery(
                merchantID: row.int(0), receiverID: queue.receiverID, notificationID: row.int(4),
                attempts: Int(row.int(7)), reason: reason)
        }
        settled.append((ended, tally, exhausted))
    }

    /// Ends those that are still open: another node may have ended some since they were read.
    /// - Returns: those of them that were given up.
    @discardableResult
    func save(in db: any SQLConnection) throws -> [ExhaustedDelivery] {
        var rows = SQLRows(Settling.columns)
        var tallies = ResendTallies()
        var given: [ExhaustedDelivery] = []
        for ((row, tally, exhausted), isOurs) in zip(settled, try db.effects(Self.delete, deleted)) where isOurs {
            rows.append(row)
            if let exhausted { given.append(exhausted) }
            guard let tally else { continue }
            tallies.add(
                tally.end, merchantID: tally.merchantID, resendID: tally.resendID, isLog: tally.isLog,
                failure: tally.failure)
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
