import ReenvioModel

/// What became of a resend's deliveries, summed over one transaction and written in it (`docs/architecture.md`,
/// rule 11).
struct ResendTallies {
    private struct Key: Hashable {
        var merchantID: Int64
        var resendID: Int64
    }

    private struct Sum {
        var delivered: Int64 = 0
        var undelivered: Int64 = 0
        var skipped: Int64 = 0
        /// Of the last message of a v3 resend that was not acknowledged.
        var failure: LogFailure?
    }

    private var sums: [Key: Sum] = [:]
    /// The v3 ones, which end with their last message.
    private var logs: Set<Int64> = []

    /// `isLog`: of a v3 resend; `failure` then says why it was not acknowledged.
    mutating func add(
        _ end: DeliveryEnd, merchantID: Int64, resendID: Int64, isLog: Bool, failure: LogFailure? = nil
    ) {
        if isLog { logs.insert(resendID) }
        let key = Key(merchantID: merchantID, resendID: resendID)
        var sum = sums[key] ?? Sum()
        switch end {
        case .acknowledged: sum.delivered += 1
        case .exhausted, .stopped: sum.undelivered += 1
        case .skipped: sum.skipped += 1
        }
        sum.failure = failure ?? sum.failure
        sums[key] = sum
    }

    /// What a cancel skips at once.
    mutating func skip(_ count: Int64, merchantID: Int64, resendID: Int64) {
        sums[Key(merchantID: merchantID, resendID: resendID), default: Sum()].skipped += count
    }

    /// Writes the sums; a v3 resend whose last message has ended ends with them.
    func save(now: Timestamp, in db: any SQLConnection) throws {
        if sums.isEmpty { return }
        var rows = SQLRows([
            ("merchant_id", .int), ("resend_id", .int), ("delivered", .int), ("undelivered", .int), ("skipped", .int),
        ])
        var failures = SQLRows([("id", .int), ("failure", .text)])
        let sorted = sums.sorted { ($0.key.merchantID, $0.key.resendID) < ($1.key.merchantID, $1.key.resendID) }
        for (key, sum) in sorted {
            rows.append([
                .int(key.merchantID), .int(key.resendID), .int(sum.delivered), .int(sum.undelivered),
                .int(sum.skipped),
            ])
            if let failure = sum.failure { failures.append([.int(key.resendID), .text(failure.text)]) }
        }
        try db.batch(Self.add, rows)
        try db.batch("UPDATE resends SET failure = rows.failure FROM {rows} WHERE resends.id = rows.id", failures)
        try EndLogs(ids: logs.sorted(), now: now).run(in: db)
    }

    private static let add = """
        INSERT INTO resend_tallies (merchant_id, resend_id, shard, delivered, undelivered, skipped)
        SELECT rows.merchant_id, rows.resend_id, 0, rows.delivered, rows.undelivered, rows.skipped
        FROM {rows} WHERE true
        ON CONFLICT (merchant_id, resend_id, shard) DO UPDATE SET
            delivered = resend_tallies.delivered + excluded.delivered,
            undelivered = resend_tallies.undelivered + excluded.undelivered,
            skipped = resend_tallies.skipped + excluded.skipped
        """
}

/// Ends those v3 resends among some whose messages have all ended: a log waits for the outcome, unlike a job
/// (`docs/contract.md` 6.4).
struct EndLogs {
    private let ids: [Int64]
    private let now: Timestamp

    init(ids: [Int64], now: Timestamp) {
        self.ids = ids
        self.now = now
    }

    private struct Ended {
        var id: Int64
        var delivered: Int64
        var total: Int64
        var category: EventCategory
        var isRange: Bool
        var failure: LogFailure?

        var isComplete: Bool { delivered == total }

        var message: String {
            let last = failure ?? LogFailure(text: "external service unavailable")
            return isRange
                ? LogFailure.message(failed: total - delivered, of: total, last: last)
                : LogFailure.message(category: category, last: last)
        }
    }

    func run(in db: any SQLConnection) throws {
        var wanted = SQLRows([("id", .int)])
        for id in ids { wanted.append([.int(id)]) }
        var ended: [Ended] = []
        try db.batch(Self.load, wanted) { row in
            guard let kind = Resend.Kind(rawValue: row.text(1)), let category = kind.category,
                row.int(4) + row.int(5) == row.int(2)
            else { return }
            ended.append(
                Ended(
                    id: row.int(0), delivered: row.int(4), total: row.int(2) + row.int(3), category: category,
                    isRange: row.isNull(6), failure: row.textIfPresent(7).map(LogFailure.init(text:))))
        }
        for log in ended {
            let status: ResendLog.Status = log.isComplete ? .completed : .failed
            try Self.end(id: log.id, status, message: log.isComplete ? nil : log.message, now: now, in: db)
        }
    }

    static func end(
        id: Int64, _ status: ResendLog.Status, message: String?, now: Timestamp, in db: any SQLConnection
    ) throws {
        let state: Resend.State = status == .completed ? .completed : .failed
        try db.run(
            """
            UPDATE resends SET state = $2, ended = $2, log_status = $3, reason = $4, ended_at = $5, updated_at = $5
            WHERE id = $1
            """,
            [.int(id), .text(state.rawValue), .text(status.rawValue), .optional(message), .time(now)])
    }

    /// Of those that wait for nothing but outcomes: delivered, and the others together.
    private static let load = """
        SELECT r.id, r.kind, r.queued, r.failed, coalesce(sum(t.delivered), 0),
            coalesce(sum(t.undelivered + t.skipped), 0), r.object_id, r.failure
        FROM resends r
        LEFT JOIN resend_tallies t ON t.merchant_id = r.merchant_id AND t.resend_id = r.id, {rows}
        WHERE r.id = rows.id AND r.state = 'awaiting'
        GROUP BY r.id, r.kind, r.queued, r.failed, r.object_id, r.failure
        """
}
