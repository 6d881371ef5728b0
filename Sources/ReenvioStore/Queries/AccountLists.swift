package import ReenvioModel

extension Store {
    /// Merchants that a caller may act for, by id: the first `Limits.merchantsLookedAt`.
    package func merchants(accountID: Int64?) async throws -> [Merchant] {
        try await engine.read { db in
            try db.all(
                "\(Self.merchantColumns) WHERE (CAST($1 AS BIGINT) IS NULL OR account_id = $1) ORDER BY id LIMIT $2",
                [.optional(accountID), .int(Limits.merchantsLookedAt)], Self.merchant)
        }
    }

    /// Keys of an account, or every key, newest first.
    package func keys(accountID: Int64?) async throws -> [APIKey] {
        try await engine.read { db in
            try db.all(
                """
                \(Self.keyColumns) WHERE (CAST($1 AS BIGINT) IS NULL OR account_id = $1)
                ORDER BY created_at DESC, id LIMIT $2
                """,
                [.optional(accountID), .int(Limits.merchantsLookedAt)], Self.key)
        }
    }

    /// The audit of one account, newest first, and the cursor of the next page; nil after the last.
    package func listAudit(
        accountID: Int64, _ page: CursorPage
    ) async throws -> (rows: [AuditRow], next: String?) {
        let found = try await engine.read { db in
            try db.all(
                """
                SELECT id, at, account_id, actor, request_id, address, action, target, parameters
                FROM audit WHERE account_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3
                """,
                [.int(accountID), .int(page.after ?? Int64.max), .int(page.limit + 1)], Self.auditRow)
        }
        let rows = Array(found.prefix(Int(page.limit)))
        return (rows, found.count > rows.count ? rows.last.map { CursorPage.cursor($0.id) } : nil)
    }
}
