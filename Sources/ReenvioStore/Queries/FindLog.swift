package import ReenvioModel

extension Store {
    /// A v3 log with its outcome, in one snapshot (`docs/contract.md` 13.18). The user or the account that it must
    /// belong to; nil is every one.
    package func logDetails(
        id: Int64, userID: Int64? = nil, accountID: Int64? = nil
    ) async throws -> ResendLogDetails? {
        try await engine.read { db in
            guard var log = try Self.logDetails(id: id, userID: userID, accountID: accountID, in: db) else {
                return nil
            }
            let isWaiting =
                try log.outcome.pending > 0
                && Self.waitsForPause(merchantID: log.merchantID, id, OpenOfResend(isLog: true), in: db)
            log.waitingOn = isWaiting ? "receiver_paused" : nil
            return log
        }
    }

    static func logDetails(
        id: Int64, userID: Int64? = nil, accountID: Int64? = nil, in db: any SQLConnection
    ) throws -> ResendLogDetails? {
        let found = try db.all(
            """
            \(logColumns) WHERE id = $1 AND log_status IS NOT NULL
                AND (CAST($2 AS BIGINT) IS NULL OR user_id = $2) AND (CAST($3 AS BIGINT) IS NULL OR account_id = $3)
            """, [.int(id), .optional(userID), .optional(accountID)], LogRow.init)
        return try details(of: found, in: db).first
    }

    /// Logs of an account, or all, with their outcomes, newest first, and the cursor of the next page; nil after the
    /// last.
    package func listLogDetails(
        accountID: Int64?, merchants: Set<Int64>? = nil, _ page: CursorPage
    ) async throws -> (logs: [ResendLogDetails], next: String?) {
        var owner = ""
        var parameters: [SQLValue] = [.int(page.after ?? Int64.max), .int(page.limit + 1)]
        if let accountID {
            parameters.append(.int(accountID))
            owner = "AND account_id = $3"
        }
        if let merchants {
            parameters.append(Self.parameter(merchants))
            owner += " AND \(Self.isAmong("merchant_id", parameters.count))"
        }
        let (condition, values) = (owner, parameters)
        return try await engine.read { db in
            let found = try db.all(
                """
                \(Self.logColumns) WHERE log_status IS NOT NULL AND id < $1 \(condition) ORDER BY id DESC LIMIT $2
                """, values, LogRow.init)
            let rows = Array(found.prefix(Int(page.limit)))
            let next = found.count > rows.count ? rows.last.map { CursorPage.cursor($0.log.id) } : nil
            return (try Self.details(of: rows, in: db), next)
        }
    }

    private struct LogRow {
        var log: ResendLog
        var merchantID: Int64
        var accountID: Int64
        var state: Resend.State
        var total: Int64
        var queued: Int64
        var failed: Int64
        var requestedBy: String

        init(_ row: any SQLRow) throws {
            log = try LogList.log(row)
            merchantID = row.int(12)
            accountID = row.int(13)
            state = Resend.State(rawValue: row.text(14)) ?? .failed
            total = row.int(15)
            queued = row.int(16)
            failed = row.int(17)
            requestedBy = row.text(18)
        }
    }

    /// The columns of `LogList`, and those that only details have.
    private static let logColumns = """
        SELECT id, kind, log_status, object_id, mirror_id, window_start, window_end, user_id, started_at, updated_at,
            ended_at, reason, merchant_id, account_id, state, total, queued, failed, requested_by
        FROM resends
        """

    private static func details(of rows: [LogRow], in db: any SQLConnection) throws -> [ResendLogDetails] {
        let ends = try ends(of: rows.map(\.log.id), in: db)
        return rows.compactMap { row in
            ends[row.log.id].map { end in
                ResendLogDetails(
                    log: row.log, merchantID: row.merchantID, accountID: row.accountID, state: row.state,
                    total: row.total, queued: row.queued, failed: row.failed, outcome: end.outcome, ended: end.ended,
                    requestedBy: row.requestedBy)
            }
        }
    }
}
