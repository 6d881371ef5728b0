package import ReenvioModel

/// Which v2 jobs a list shows (`docs/contract.md` 13.3).
package struct ResendFilter: Sendable, Equatable {
    /// Nil: of every account.
    package var accountID: Int64?
    package var merchantID: Int64?
    package var state: Resend.State?

    package init(accountID: Int64? = nil, merchantID: Int64? = nil, state: Resend.State? = nil) {
        self.accountID = accountID
        self.merchantID = merchantID
        self.state = state
    }
}

extension Store {
    /// Jobs, newest first, and the cursor of the next page; nil after the last.
    package func listResends(_ filter: ResendFilter, _ page: CursorPage) async throws -> (
        jobs: [Resend], next: String?
    ) {
        let found = try await engine.read { db in
            try db.all(
                """
                \(Self.resendColumns)
                WHERE kind = 'v2-payout' AND (CAST($1 AS BIGINT) IS NULL OR account_id = $1)
                    AND (CAST($2 AS BIGINT) IS NULL OR merchant_id = $2)
                    AND (CAST($3 AS TEXT) IS NULL OR state = $3) AND id < $4
                ORDER BY id DESC LIMIT $5
                """,
                [
                    .optional(filter.accountID), .optional(filter.merchantID), .optional(filter.state?.rawValue),
                    .int(page.after ?? Int64.max), .int(page.limit + 1),
                ], Self.resend)
        }
        let jobs = Array(found.prefix(Int(page.limit)))
        return (jobs, found.count > jobs.count ? jobs.last.map { CursorPage.cursor($0.id) } : nil)
    }
}
