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

    /// The resend logs of v3 of an account, or all, newest first, and the cursor of the next page; nil after the last.
    package func logsForPage(
        accountID: Int64?, _ page: CursorPage
    ) async throws -> (logs: [ResendLog], next: String?) {
        let owner = accountID == nil ? "" : "AND account_id = $3"
        let found = try await engine.read { db in
            try db.all(
                """
                \(LogList.columns) WHERE log_status IS NOT NULL AND id < $1 \(owner) ORDER BY id DESC LIMIT $2
                """,
                [.int(page.after ?? Int64.max), .int(page.limit + 1)] + (accountID.map { [.int($0)] } ?? []),
                LogList.log)
        }
        let logs = Array(found.prefix(Int(page.limit)))
        return (logs, found.count > logs.count ? logs.last.map { CursorPage.cursor($0.id) } : nil)
    }

    /// A log and what became of its messages; nil for one that the caller does not see.
    package func logForPage(
        id: Int64, accountID: Int64?
    ) async throws -> (log: ResendLog, total: Int64, queued: Int64, outcome: ResendOutcome)? {
        try await engine.read { db in
            let found = try db.first(
                """
                SELECT total, queued FROM resends
                WHERE id = $1 AND log_status IS NOT NULL AND (CAST($2 AS BIGINT) IS NULL OR account_id = $2)
                """, [.int(id), .optional(accountID)]
            ) { (total: $0.int(0), queued: $0.int(1)) }
            guard let found, let outcome = try Self.outcome(of: id, in: db),
                let log = try db.first("\(LogList.columns) WHERE id = $1", [.int(id)], LogList.log)
            else { return nil }
            return (log, found.total, found.queued, outcome)
        }
    }
}
