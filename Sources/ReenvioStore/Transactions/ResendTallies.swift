import ReenvioModel

/// What became of a resend's deliveries, summed over one transaction and written in it (`docs/architecture.md`,
/// rule 11).
struct ResendTallies {
    struct Key: Hashable {
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

    /// Locks the tallies of these jobs, which whoever cancels one does as well: what is read of them afterwards holds
    /// until the commit, so that nothing counts both as skipped and as what was answered.
    static func lock(_ keys: some Sequence<Key>, in db: any SQLConnection) throws {
        var rows = SQLRows([
            ("merchant_id", .int), ("resend_id", .int), ("delivered", .int), ("undelivered", .int), ("skipped", .int),
        ])
        for key in Set(keys).sorted(by: { ($0.merchantID, $0.resendID) < ($1.merchantID, $1.resendID) }) {
            rows.append([.int(key.merchantID), .int(key.resendID), .int(0), .int(0), .int(0)])
        }
        try db.send(add, rows)
    }

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
        try EndLogs.lock(logs, in: db)
        try db.send(Self.add, rows)
        try db.send("UPDATE resends SET failure = rows.failure FROM {rows} WHERE resends.id = rows.id", failures)
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
