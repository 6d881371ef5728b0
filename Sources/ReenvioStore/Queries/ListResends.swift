package import ReenvioModel

/// Which v2 jobs a list shows (`docs/contract.md` 13.3).
package struct ResendFilter: Sendable, Equatable {
    /// Nil: of every account.
    package var accountID: Int64?
    package var merchantID: Int64?
    /// The only merchants that the caller may act for.
    package var merchants: Set<Int64>?
    package var state: Resend.State?

    package init(
        accountID: Int64? = nil, merchantID: Int64? = nil, merchants: Set<Int64>? = nil, state: Resend.State? = nil
    ) {
        self.accountID = accountID
        self.merchantID = merchantID
        self.merchants = merchants
        self.state = state
    }

    /// Constant texts chosen by what was asked for, so that each list begins at its place in an index of its own.
    func statement(_ page: CursorPage) -> (sql: String, parameters: [SQLValue]) {
        var conditions = "kind = 'v2-payout' AND id < $1"
        var parameters: [SQLValue] = [.int(page.after ?? Int64.max), .int(page.limit + 1)]
        func add(_ condition: String, _ value: SQLValue) {
            parameters.append(value)
            conditions += " AND \(condition) $\(parameters.count)"
        }
        if let accountID { add("account_id =", .int(accountID)) }
        if let merchantID {
            add("merchant_id =", .int(merchantID))
        } else if let merchants {
            parameters.append(Store.parameter(merchants))
            conditions += " AND \(Store.isAmong("merchant_id", parameters.count))"
        }
        if let state { add("state =", .text(state.rawValue)) }
        return ("\(Store.resendColumns) WHERE \(conditions) ORDER BY id DESC LIMIT $2", parameters)
    }
}

extension Store {
    /// Jobs with their outcomes, newest first, in one snapshot, and the cursor of the next page; nil after the last.
    package func listResends(_ filter: ResendFilter, _ page: CursorPage) async throws -> (
        jobs: [ResendDetails], next: String?
    ) {
        let (sql, parameters) = filter.statement(page)
        return try await engine.read { db in
            let found = try db.all(sql, parameters, Self.resend)
            let jobs = Array(found.prefix(Int(page.limit)))
            let next = found.count > jobs.count ? jobs.last.map { CursorPage.cursor($0.id) } : nil
            return (try Self.details(of: jobs, in: db), next)
        }
    }
}
