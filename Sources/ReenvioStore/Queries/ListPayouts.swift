package import ReenvioModel

/// A page of payouts and how many there are in all.
package struct PayoutPage: Sendable {
    package var payouts: [Payout]
    package var total: Int64
}

extension Store {
    /// A page of the payouts that `accountID` may see (nil: every account's), in one snapshot. `merchants` are the only
    /// ones that the caller may act for.
    package func listPayouts(
        _ query: PayoutQuery, accountID: Int64?, merchants: Set<Int64>? = nil
    ) async throws -> PayoutPage {
        let filter = PayoutFilter(query, accountID: accountID, merchants: merchants)
        let (total, rows) = try await engine.read { db in
            let total = try db.first("SELECT count(*) \(filter.from)", filter.parameters) { $0.int(0) } ?? 0
            let order = query.isDescending ? "DESC" : "ASC"
            let sql = """
                \(Self.payoutColumns) \(filter.from)
                ORDER BY \(Self.column(query.sortKey)) \(order), p.id \(order)
                LIMIT $\(filter.parameters.count + 1) OFFSET $\(filter.parameters.count + 2)
                """
            let page: [SQLValue] = [.int(query.perPage), .int(query.offset)]
            let rows = try db.all(sql, filter.parameters + page) { row in
                SealedPayout(payout: Self.payout(row), sealed: row.blobIfPresent(16), keyID: row.textIfPresent(17))
            }
            return (total, rows)
        }
        return PayoutPage(payouts: try rows.map { try open($0) }, total: total)
    }

    private static func column(_ key: PayoutQuery.SortKey) -> String {
        switch key {
        case .id: "p.id"
        case .createdAt: "p.created_at"
        case .updatedAt: "p.updated_at"
        case .amount: "p.amount_minor"
        }
    }
}

/// The WHERE clause of a query: constant texts chosen by what was asked for; every value is a parameter.
private struct PayoutFilter: Sendable {
    private(set) var parameters: [SQLValue] = []
    private var conditions: [String] = []

    init(_ query: PayoutQuery, accountID: Int64?, merchants: Set<Int64>?) {
        add("m.account_id =", .optional(accountID), unless: accountID == nil)
        add("p.merchant_id =", .optional(query.merchantID), unless: query.merchantID == nil)
        add("p.invoice =", .optional(query.invoice), unless: query.invoice == nil)
        add("p.status_id =", .optional(query.status?.id), unless: query.status == nil)
        add("p.created_at >=", .optional(query.created.from), unless: query.created.from == nil)
        add("p.created_at <", .optional(query.created.before), unless: query.created.before == nil)
        add("p.updated_at >=", .optional(query.updated.from), unless: query.updated.from == nil)
        add("p.updated_at <", .optional(query.updated.before), unless: query.updated.before == nil)
        if query.merchantID == nil, let merchants {
            parameters.append(Store.parameter(merchants))
            conditions.append(Store.isAmong("p.merchant_id", parameters.count))
        }
    }

    private mutating func add(_ condition: String, _ value: SQLValue, unless isAbsent: Bool) {
        if isAbsent { return }
        parameters.append(value)
        conditions.append("\(condition) $\(parameters.count)")
    }

    var from: String {
        """
        FROM payouts p JOIN merchants m ON m.id = p.merchant_id
        LEFT JOIN parties s ON s.merchant_id = p.merchant_id AND s.kind = 'payout' AND s.object_id = p.id
        \(conditions.isEmpty ? "" : "WHERE " + conditions.joined(separator: " AND "))
        """
    }
}
