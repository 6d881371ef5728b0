package import ReenvioModel

extension Store {
    /// A batch with the sums of its jobs, in one snapshot; nil where there is none that the caller sees. One that may
    /// act for some `merchants` only sees batches of these.
    package func batch(
        publicID: String, accountID: Int64?, merchants: Set<Int64>? = nil
    ) async throws -> ResendBatch? {
        try await engine.read { db in
            guard let batch = try Self.findBatch(publicID: publicID, in: db),
                accountID == nil || accountID == batch.accountID
            else { return nil }
            guard let merchants else { return batch }
            let other = try db.first(
                """
                SELECT 1 FROM resend_batch_merchants
                WHERE batch_id = $1 AND NOT (\(Self.isAmong("merchant_id", 2))) LIMIT 1
                """, [.int(batch.id), Self.parameter(merchants)]
            ) { $0.int(0) }
            return other == nil ? batch : nil
        }
    }

    /// Which of these merchants there are, for that caller.
    package func knownMerchants(_ ids: [Int64], accountID: Int64?) async throws -> Set<Int64> {
        try await engine.read { db in
            var rows = SQLRows([("id", .int)])
            for id in ids { rows.append([.int(id)]) }
            var known: Set<Int64> = []
            try db.batch("SELECT m.id, m.account_id FROM merchants m, {rows} WHERE m.id = rows.id", rows) { row in
                if accountID == nil || accountID == row.int(1) { known.insert(row.int(0)) }
            }
            return known
        }
    }

    /// Batches, newest first, and the cursor of the next page; nil after the last. A caller that may act for some
    /// `merchants` only sees batches of these.
    package func listBatches(
        accountID: Int64?, merchants: Set<Int64>? = nil, _ page: CursorPage
    ) async throws -> (batches: [ResendBatch], next: String?) {
        let only = """
            AND NOT EXISTS (SELECT 1 FROM resend_batch_merchants o
                WHERE o.batch_id = resend_batches.id AND NOT (\(Self.isAmong("o.merchant_id", 4))))
            """
        let found = try await engine.read { db in
            let names = try db.all(
                """
                SELECT public_id FROM resend_batches
                WHERE id < $1 AND (CAST($2 AS BIGINT) IS NULL OR account_id = $2) \(merchants == nil ? "" : only)
                ORDER BY id DESC LIMIT $3
                """,
                [.int(page.after ?? Int64.max), .optional(accountID), .int(page.limit + 1)]
                    + (merchants.map { [Self.parameter($0)] } ?? [])
            ) { $0.text(0) }
            return try names.compactMap { try Self.findBatch(publicID: $0, in: db) }
        }
        let batches = Array(found.prefix(Int(page.limit)))
        return (batches, found.count > batches.count ? batches.last.map { CursorPage.cursor($0.id) } : nil)
    }

    /// A dry run: each merchant's payouts in the whole range, counted in one snapshot. Nil where there are too many
    /// merchants.
    package func countBatch(_ request: ResendBatchRequest, accountID: Int64?) async throws -> ResendBatchCount? {
        try await engine.read { db in
            var merchants: [Int64] = []
            var isAll = false
            switch request.merchants {
            case .named(let ids): merchants = ids
            case .all:
                isAll = true
                merchants = try db.all(
                    """
                    SELECT id FROM merchants WHERE (CAST($1 AS BIGINT) IS NULL OR account_id = $1)
                    ORDER BY id LIMIT $2
                    """, [.optional(accountID), .int(Limits.batchMerchants + 1)]
                ) { $0.int(0) }
            }
            guard merchants.count <= Limits.batchMerchants else { return nil }
            let shares = try merchants.map { merchant in
                ResendBatchCount.Share(
                    merchantID: merchant, total: try CountMatching.total(of: request.counting(merchant), in: db))
            }
            return ResendBatchCount(
                shares: shares.filter { !isAll || $0.total > 0 }, windows: Int64(request.range.split.count))
        }
    }

    static func findBatch(publicID: String, in db: any SQLConnection) throws -> ResendBatch? {
        let found = try db.first(
            """
            SELECT id, public_id, account_id, requested_by, state, range_start, range_end, merchants, started_at,
                ended_at
            FROM resend_batches WHERE public_id = $1
            """, [.text(publicID)]
        ) { row -> ResendBatch in
            guard let state = ResendBatch.State(rawValue: row.text(4)) else {
                throw StoreError.failed("batch \(row.int(0)) has an unknown state")
            }
            return ResendBatch(
                id: row.int(0), publicID: row.text(1), accountID: row.intIfPresent(2), requestedBy: row.text(3),
                state: state, range: ResendWindow(startSeconds: row.int(5), endSeconds: row.int(6)),
                merchants: row.int(7), startedAt: row.time(8), endedAt: row.timeIfPresent(9))
        }
        return try found.map { try summed($0, in: db) }
    }

    private static func summed(_ batch: ResendBatch, in db: any SQLConnection) throws -> ResendBatch {
        var batch = batch
        batch.opened =
            try db.first(
                "SELECT count(*) FROM resend_batch_merchants WHERE batch_id = $1 AND opened_at IS NOT NULL",
                [.int(batch.id)]
            ) { $0.int(0) } ?? 0
        try db.query(Self.jobSums, [.int(batch.id)]) { row in
            (batch.jobs, batch.runningJobs, batch.failedJobs) = (row.int(0), row.int(1), row.int(2))
            (batch.total, batch.queued, batch.failed) = (row.int(3), row.int(4), row.int(5))
        }
        try db.query(Self.outcomeSums, [.int(batch.id)]) { row in
            (batch.delivered, batch.undelivered, batch.skipped) = (row.int(0), row.int(1), row.int(2))
        }
        return batch
    }

    private static let jobSums = """
        SELECT count(*), CAST(coalesce(sum(CASE WHEN state = 'processing' THEN 1 ELSE 0 END), 0) AS BIGINT),
            CAST(coalesce(sum(CASE WHEN state = 'failed' THEN 1 ELSE 0 END), 0) AS BIGINT),
            CAST(coalesce(sum(total), 0) AS BIGINT), CAST(coalesce(sum(queued), 0) AS BIGINT),
            CAST(coalesce(sum(failed), 0) AS BIGINT)
        FROM resends WHERE batch_id = $1
        """

    private static let outcomeSums = """
        SELECT CAST(coalesce(sum(t.delivered), 0) AS BIGINT), CAST(coalesce(sum(t.undelivered), 0) AS BIGINT),
            CAST(coalesce(sum(t.skipped), 0) AS BIGINT)
        FROM resends r JOIN resend_tallies t ON t.merchant_id = r.merchant_id AND t.resend_id = r.id
        WHERE r.batch_id = $1
        """
}
