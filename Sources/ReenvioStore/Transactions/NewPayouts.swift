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
        var ids = try db.nextIDs(.payout, payouts.count)
        let seqs = payouts.map { clocks.next($0.merchantID) }
        var inserted: Set<Int64> = []
        var waiting = Array(payouts.indices)
        var isRedrawn = false
        while !waiting.isEmpty {
            var rows = SQLRows(columns)
            for index in waiting {
                rows.append(
                    row(payouts[index], id: ids[index], seq: seqs[index], receiverID: receivers[index], now: now))
            }
            try db.batch(insertPayouts, rows) { inserted.insert($0.int(0)) }
            // An import may have brought an id along after it was drawn here, or the sequence is behind.
            let taken = try stored(waiting.lazy.map { ids[$0] }.filter { !inserted.contains($0) }, in: db)
            if isRedrawn, let id = taken.first { try db.expectFree(id, of: .payout) }
            isRedrawn = true
            waiting.removeAll { !taken.contains(ids[$0]) }
            for (index, id) in zip(waiting, try db.nextIDs(.payout, waiting.count)) { ids[index] = id }
        }
        var changes = SQLRows([("merchant_id", .int), ("seq", .int), ("payout_id", .int), ("at", .int), ("at_s", .int)])
        var parties = SQLRows([
            ("merchant_id", .int), ("object_id", .int), ("sealed", .blob), ("key_id", .text), ("at", .int),
        ])
        for (index, payout) in payouts.enumerated() where inserted.contains(ids[index]) {
            let merchant = SQLValue.int(payout.merchantID)
            let at = payout.createdAt ?? now
            changes.append([merchant, .int(seqs[index]), .int(ids[index]), .time(at), .int(at.seconds)])
            parties.append([merchant, .int(ids[index]), .blob(sealed[index]), .text(keyID), .time(now)])
        }
        try db.send(insertChanges, changes)
        try db.send(insertParties, parties)
        return ids.map { inserted.contains($0) ? .payout(id: $0) : .invoiceTaken }
    }

    private static func stored(_ ids: some Sequence<Int64>, in db: any SQLConnection) throws -> Set<Int64> {
        var rows = SQLRows([("id", .int)])
        for id in ids { rows.append([.int(id)]) }
        var stored: Set<Int64> = []
        try db.batch("SELECT p.id FROM payouts p, {rows} WHERE p.id = rows.id", rows) { stored.insert($0.int(0)) }
        return stored
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
            .time(payout.createdAt ?? now), .int(seq), .optional(receiverID), .optional(draft.notificationURL?.text),
            .text(draft.purpose),
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

    private static func find(_ key: Key, in db: any SQLConnection) throws -> Int64? {
        try db.first(
            "SELECT id FROM receivers WHERE merchant_id = $1 AND origin = $2",
            [.int(key.merchantID), .text(key.origin)]
        ) { $0.int(0) }
    }

    /// The receiver of each pair, in order; nil where there is no origin.
    static func find(
        or wanted: [(merchantID: Int64, origin: String?)], _ now: Timestamp, in db: any SQLConnection
    ) throws -> [Int64?] {
        var known: [Key: Int64] = [:]
        let keys = Set(wanted.compactMap { pair in pair.origin.map { Key(merchantID: pair.merchantID, origin: $0) } })
        var missing: [Key] = []
        for key in keys {
            if let id = try find(key, in: db) { known[key] = id } else { missing.append(key) }
        }
        for (key, id) in zip(missing, try db.nextIDs(.receiver, missing.count)) {
            let made = try db.run(
                """
                INSERT INTO receivers (id, merchant_id, origin, health_since, created_at) VALUES ($1, $2, $3, $4, $4)
                ON CONFLICT DO NOTHING
                """,
                [.int(id), .int(key.merchantID), .text(key.origin), .time(now)]
            )
            // Another node may have met it at the same time.
            known[key] = made == 1 ? id : try find(key, in: db)
            if known[key] == nil { try db.expectFree(id, of: .receiver) }
        }
        return wanted.map { pair in pair.origin.flatMap { known[Key(merchantID: pair.merchantID, origin: $0)] } }
    }
}
