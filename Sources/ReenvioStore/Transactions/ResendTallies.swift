import ReenvioModel

/// What became of a resend's deliveries, summed over one transaction and written in it (`docs/architecture.md`,
/// rule 11).
struct ResendTallies {
    private struct Key: Hashable {
        var merchantID: Int64
        var resendID: Int64
    }

    private var sums: [Key: (delivered: Int64, undelivered: Int64, skipped: Int64)] = [:]

    mutating func add(_ end: DeliveryEnd, merchantID: Int64, resendID: Int64) {
        let key = Key(merchantID: merchantID, resendID: resendID)
        var sum = sums[key] ?? (0, 0, 0)
        switch end {
        case .acknowledged: sum.delivered += 1
        case .exhausted, .stopped: sum.undelivered += 1
        case .skipped: sum.skipped += 1
        }
        sums[key] = sum
    }

    func save(in db: any SQLConnection) throws {
        var rows = SQLRows([
            ("merchant_id", .int), ("resend_id", .int), ("delivered", .int), ("undelivered", .int), ("skipped", .int),
        ])
        let sorted = sums.sorted { ($0.key.merchantID, $0.key.resendID) < ($1.key.merchantID, $1.key.resendID) }
        for (key, sum) in sorted {
            rows.append([
                .int(key.merchantID), .int(key.resendID), .int(sum.delivered), .int(sum.undelivered),
                .int(sum.skipped),
            ])
        }
        try db.batch(Self.add, rows)
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
