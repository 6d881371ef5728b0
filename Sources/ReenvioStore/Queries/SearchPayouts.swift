package import ReenvioModel

/// A payout in a list of the dashboard; nothing of it names people.
package struct PayoutRow: Sendable, Equatable {
    package var id: Int64
    package var merchantID: Int64
    package var invoice: String
    package var amount: Money
    package var status: PayoutStatus
    package var updatedAt: Timestamp
    package var endToEnd: String?
}

/// One entry of a payout's history.
package struct PayoutChange: Sendable, Equatable {
    package var status: PayoutStatus
    package var sequence: Int64
    package var at: Timestamp
}

extension Store {
    package static let foundMax = 50
    private static let recentMax = 20

    /// Payouts with that id, invoice or end-to-end id, all of it exact: each is found through an index.
    /// `merchants` are the only ones that the caller may act for.
    package func searchPayouts(
        _ text: String, accountID: Int64?, merchants: Set<Int64>? = nil
    ) async throws -> [PayoutRow] {
        let conditions = [
            "p.id = $1", "p.end_to_end = $1", "p.invoice = $1 AND p.holds_invoice = 1",
            "p.invoice = $1 AND p.holds_invoice = 0",
        ]
        return try await engine.read { db in
            var found: [PayoutRow] = []
            for (place, condition) in conditions.enumerated() {
                let value: SQLValue
                if place == 0 {
                    guard let id = Int64(text) else { continue }
                    value = .int(id)
                } else {
                    value = .text(text)
                }
                // By invoice the merchants come first: the index of invoices begins with them.
                let from = place < 2 ? "payouts p JOIN merchants m" : "merchants m CROSS JOIN payouts p"
                let link = place < 2 ? "ON m.id = p.merchant_id WHERE" : "WHERE p.merchant_id = m.id AND"
                var owner = ""
                var parameters: [SQLValue] = [value, .int(Self.foundMax)]
                if let accountID {
                    parameters.append(.int(accountID))
                    owner = "AND m.account_id = $3"
                }
                if let merchants {
                    parameters.append(Self.parameter(merchants))
                    owner += " AND \(Self.isAmong("m.id", parameters.count))"
                }
                let rows = try db.all(
                    "\(Self.payoutRowColumns) FROM \(from) \(link) \(condition) \(owner) LIMIT $2", parameters,
                    Self.payoutRow)
                found += rows.filter { row in !found.contains { $0.id == row.id } }
            }
            return Array(found.prefix(Self.foundMax))
        }
    }

    /// The newest payouts; for an account those whose status changed last.
    package func recentPayouts(accountID: Int64?, merchants: Set<Int64>? = nil) async throws -> [PayoutRow] {
        try await engine.read { db in
            guard let accountID else {
                return try db.all(
                    "\(Self.payoutRowColumns) FROM payouts p ORDER BY p.id DESC LIMIT $1", [.int(Self.recentMax)],
                    Self.payoutRow)
            }
            var changes: [(at: Int64, payoutID: Int64)] = []
            for merchantID in try merchants?.sorted() ?? Self.merchantIDs(of: accountID, in: db) {
                try db.query(
                    """
                    SELECT changed_at, payout_id FROM status_changes WHERE merchant_id = $1
                    ORDER BY seq DESC LIMIT $2
                    """, [.int(merchantID), .int(Self.recentMax)]
                ) { changes.append((at: $0.int(0), payoutID: $0.int(1))) }
            }
            var ids: [Int64] = []
            for change in changes.sorted(by: { $0.at > $1.at }) where ids.count < Self.recentMax {
                if !ids.contains(change.payoutID) { ids.append(change.payoutID) }
            }
            return try ids.compactMap { id in
                try db.first("\(Self.payoutRowColumns) FROM payouts p WHERE p.id = $1", [.int(id)], Self.payoutRow)
            }
        }
    }

    /// Every status of a payout, newest first; empty for one that the caller does not see.
    package func payoutHistory(id: Int64, accountID: Int64?) async throws -> [PayoutChange] {
        try await engine.read { db in
            let owner = try db.first(
                """
                SELECT p.merchant_id FROM payouts p JOIN merchants m ON m.id = p.merchant_id
                WHERE p.id = $1 AND (CAST($2 AS BIGINT) IS NULL OR m.account_id = $2)
                """, [.int(id), .optional(accountID)]
            ) { $0.int(0) }
            guard let owner else { return [] }
            return try db.all(
                """
                \(Self.payoutHistorySeqs)
                SELECT c.status_id, c.sequence, c.changed_at FROM status_changes c
                WHERE c.merchant_id = $2 AND c.seq IN (SELECT seq FROM history) ORDER BY c.seq DESC
                """, [.int(id), .int(owner)]
            ) { row in
                PayoutChange(
                    status: PayoutStatus(id: row.int(0)) ?? .awaiting, sequence: row.int(1), at: row.time(2))
            }
        }
    }

    /// The changes of payout `$1` of merchant `$2`, as `history(seq)`. Ask for them with `IN`: joined, SQLite prefers
    /// the order of their table, and walks everything that the merchant ever reported.
    static let payoutHistorySeqs = """
        WITH RECURSIVE history(seq) AS (
            SELECT latest_seq FROM payouts WHERE id = $1
            UNION ALL
            SELECT c.previous_seq FROM history h
            JOIN status_changes c ON c.merchant_id = $2 AND c.seq = h.seq WHERE c.previous_seq IS NOT NULL)
        """

    static func merchantIDs(of accountID: Int64, in db: any SQLConnection) throws -> [Int64] {
        try db.all(
            "SELECT id FROM merchants WHERE account_id = $1 ORDER BY id LIMIT $2",
            [.int(accountID), .int(Limits.merchantsLookedAt)]
        ) { $0.int(0) }
    }

    private static let payoutRowColumns = """
        SELECT p.id, p.merchant_id, p.invoice, p.amount_minor, p.currency, p.status_id, p.updated_at, p.end_to_end
        """

    private static func payoutRow(_ row: any SQLRow) -> PayoutRow {
        PayoutRow(
            id: row.int(0), merchantID: row.int(1), invoice: row.text(2),
            amount: Money(minor: row.int(3), currency: row.text(4)),
            status: PayoutStatus(id: row.int(5)) ?? .awaiting, updatedAt: row.time(6), endToEnd: row.textIfPresent(7))
    }
}
