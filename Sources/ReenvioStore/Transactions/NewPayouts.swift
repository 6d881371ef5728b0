import ReenvioModel

/// The rows of new payouts: the payout, its first change (Awaiting, which sends nothing), and the parties, sealed.
enum NewPayouts {
    static func insert(
        _ payouts: [IntakeBatch.NewPayout], sealed: [[UInt8]], keyID: String, clocks: inout MerchantClocks,
        now: Timestamp,
        in db: any SQLConnection
    ) throws -> [IntakeResult.Created] {
        if payouts.isEmpty { return [] }
        let receivers = try Receivers.find(
            or: payouts.map { ($0.merchantID, $0.draft.notificationURL?.origin) }, now, in: db)
        let ids = try db.nextIDs(.payout, payouts.count)
        var rows = SQLRows(columns)
        var seqs: [Int64] = []
        for (index, payout) in payouts.enumerated() {
            seqs.append(clocks.next(payout.merchantID))
            rows.append(row(payout, id: ids[index], seq: seqs[index], receiverID: receivers[index], now: now))
        }
        var inserted: Set<Int64> = []
        try db.batch(insertPayouts, rows) { inserted.insert($0.int(0)) }
        var changes = SQLRows([("merchant_id", .int), ("seq", .int), ("payout_id", .int), ("at", .int), ("at_s", .int)])
        var parties = SQLRows([
            ("merchant_id", .int), ("object_id", .int), ("sealed", .blob), ("key_id", .text), ("at", .int),
        ])
        for (index, payout) in payouts.enumerated() where inserted.contains(ids[index]) {
            let merchant = SQLValue.int(payout.merchantID)
            changes.append([merchant, .int(seqs[index]), .int(ids[index]), .time(now), .int(now.seconds)])
            parties.append([merchant, .int(ids[index]), .blob(sealed[index]), .text(keyID), .time(now)])
        }
        try db.batch(insertChanges, changes)
        try db.batch(insertParties, parties)
        return ids.map { inserted.contains($0) ? .payout(id: $0) : .invoiceTaken }
    }

    private static let columns: [(name: String, type: SQLRows.ColumnType)] = [
        ("id", .int), ("merchant_id", .int), ("invoice", .text), ("amount_minor", .int), ("currency", .text),
        ("at", .int), ("seq", .int), ("receiver_id", .int), ("url", .text), ("purpose", .text),
    ]

    private static func row(
        _ payout: IntakeBatch.NewPayout, id: Int64, seq: Int64, receiverID: Int64?, now: Timestamp
    ) -> [SQLValue] {
        let draft = payout.draft
        return [
            .int(id), .int(payout.merchantID), .text(draft.invoice), .int(draft.amount.minor),
            .text(draft.amount.currency),
            .time(now), .int(seq), .optional(receiverID), .optional(draft.notificationURL?.text), .text(draft.purpose),
        ]
    }

    private static let insertPayouts = """
        INSERT INTO payouts (id, merchant_id, invoice, amount_minor, currency, status_id, created_at, updated_at,
            latest_seq, latest_sequence, receiver_id, notification_url, purpose)
        SELECT rows.id, rows.merchant_id, rows.invoice, rows.amount_minor, rows.currency, 7, rows.at, rows.at,
            rows.seq, 1, rows.receiver_id, rows.url, rows.purpose
        FROM {rows} WHERE true
        ON CONFLICT DO NOTHING RETURNING id
        """

    private static let insertChanges = """
        INSERT INTO status_changes (merchant_id, seq, payout_id, status_id, sequence, changed_at, changed_s)
        SELECT rows.merchant_id, rows.seq, rows.payout_id, 7, 1, rows.at, rows.at_s
        FROM {rows}
        """

    private static let insertParties = """
        INSERT INTO parties (merchant_id, kind, object_id, sealed, key_id, created_at)
        SELECT rows.merchant_id, 'payout', rows.object_id, rows.sealed, rows.key_id, rows.at
        FROM {rows}
        """
}

/// Receivers by merchant and origin; made when first met.
enum Receivers {
    private struct Key: Hashable {
        var merchantID: Int64
        var origin: String
    }

    /// The receiver of each pair, in order; nil where there is no origin.
    static func find(
        or wanted: [(merchantID: Int64, origin: String?)], _ now: Timestamp, in db: any SQLConnection
    ) throws -> [Int64?] {
        var known: [Key: Int64] = [:]
        let keys = Set(wanted.compactMap { pair in pair.origin.map { Key(merchantID: pair.merchantID, origin: $0) } })
        var missing: [Key] = []
        for key in keys {
            let id = try db.first(
                "SELECT id FROM receivers WHERE merchant_id = $1 AND origin = $2",
                [.int(key.merchantID), .text(key.origin)]
            ) { $0.int(0) }
            if let id { known[key] = id } else { missing.append(key) }
        }
        for (key, id) in zip(missing, try db.nextIDs(.receiver, missing.count)) {
            try db.run(
                """
                INSERT INTO receivers (id, merchant_id, origin, health_since, created_at) VALUES ($1, $2, $3, $4, $4)
                """,
                [.int(id), .int(key.merchantID), .text(key.origin), .time(now)]
            )
            known[key] = id
        }
        return wanted.map { pair in pair.origin.flatMap { known[Key(merchantID: pair.merchantID, origin: $0)] } }
    }
}
