package import ReenvioModel

/// What became of a request for a batch (`docs/contract.md` 13.17).
package enum BatchOpened: Equatable, Sendable {
    case opened(ResendBatch)
    /// An equal request of the last 24 hours made this one, which may still run: nothing is sent twice.
    case existing(ResendBatch)
    case tooManyMerchants
}

extension Store {
    /// Inserts the batch with its merchants in one transaction; the runner makes the jobs. Whose merchants are named is
    /// the caller's to judge.
    package func openBatch(
        _ request: ResendBatchRequest, _ opening: ResendOpening, accountID: Int64?, now: Timestamp
    ) async throws -> BatchOpened {
        let opened = try await engine.write(.intake) { db in
            try Self.open(request, opening, accountID: accountID, now: now, in: db)
        }
        announceWork()
        return opened
    }

    private static func open(
        _ request: ResendBatchRequest, _ opening: ResendOpening, accountID: Int64?, now: Timestamp,
        in db: any SQLConnection
    ) throws -> BatchOpened {
        // Accounts do not see each other's batches, not even by asking for the same.
        let fingerprint = "\(accountID.map { String($0) } ?? "operator") \(request.fingerprint)"
        if !request.again, let known = try alike(fingerprint, now: now, in: db) { return .existing(known) }
        let merchants = try merchants(of: request, accountID: accountID, in: db)
        guard merchants.count <= Limits.batchMerchants else { return .tooManyMerchants }
        let id = try db.nextIDs(.resend, 1)[0]
        let inserted = try db.run(
            """
            INSERT INTO resend_batches (id, public_id, account_id, requested_by, state, range_start, range_end,
                statuses, only_unacked, max_per_second, canary, fingerprint, trace, merchants, started_at)
            VALUES ($1, $2, $3, $4, 'processing', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            ON CONFLICT DO NOTHING
            """,
            [
                .int(id), .text(opening.jobID), .optional(accountID), .text(opening.requester.actor),
                .int(request.range.startSeconds), .int(request.range.endSeconds),
                .text(StatusList.text(request.statuses)), .bool(request.options.onlyUnacknowledged),
                .optional(request.options.maxPerSecond), .optional(request.options.canary), .text(fingerprint),
                .optional(opening.trace?.bytes), .int(merchants.count), .time(now),
            ])
        guard inserted == 1 else {
            try db.expectFree(id, of: .resend)
            guard let running = try running(fingerprint, in: db) else {
                throw StoreError.unavailable("an equal batch ended at this moment")
            }
            return .existing(running)
        }
        var rows = SQLRows([("batch_id", .int), ("merchant_id", .int)])
        for merchant in merchants { rows.append([.int(id), .int(merchant)]) }
        try db.send(
            """
            INSERT INTO resend_batch_merchants (batch_id, merchant_id)
            SELECT rows.batch_id, rows.merchant_id FROM {rows}
            """, rows)
        let entry = Audit.Entry(
            at: now, accountID: accountID, by: opening.requester, action: "resend.batch",
            target: "batch \(opening.jobID)", parameters: audit(request, merchants))
        try Audit.write(entry, in: db)
        guard let batch = try findBatch(publicID: opening.jobID, in: db) else {
            throw StoreError.failed("a batch that was just inserted is not there")
        }
        return .opened(batch)
    }

    private static func audit(_ request: ResendBatchRequest, _ merchants: [Int64]) -> String {
        let named = merchants.prefix(20).map { String($0) }.joined(separator: ",")
        let more = merchants.count > 20 ? " and \(merchants.count - 20) more" : ""
        let start = TimeText.plain(Timestamp(seconds: request.range.startSeconds))
        let end = TimeText.plain(Timestamp(seconds: request.range.endSeconds))
        return "merchants \(named)\(more), \(start) to \(end), statuses \(StatusList.text(request.statuses))"
            + request.options.auditText
    }

    private static func merchants(
        of request: ResendBatchRequest, accountID: Int64?, in db: any SQLConnection
    ) throws -> [Int64] {
        if case .named(let ids) = request.merchants { return ids }
        return try db.all(
            """
            SELECT id FROM merchants WHERE (CAST($1 AS BIGINT) IS NULL OR account_id = $1) ORDER BY id LIMIT $2
            """, [.optional(accountID), .int(Limits.batchMerchants + 1)]
        ) { $0.int(0) }
    }

    /// A canceled one is not what a new request asks for.
    private static func alike(_ fingerprint: String, now: Timestamp, in db: any SQLConnection) throws -> ResendBatch? {
        let publicID = try db.first(
            """
            SELECT public_id FROM resend_batches
            WHERE fingerprint = $1 AND state <> 'canceled' AND (state = 'processing' OR started_at > $2)
            ORDER BY id DESC LIMIT 1
            """, [.text(fingerprint), .time(IdempotencyKeys.oldest(now))]
        ) { $0.text(0) }
        return try publicID.flatMap { try findBatch(publicID: $0, in: db) }
    }

    private static func running(_ fingerprint: String, in db: any SQLConnection) throws -> ResendBatch? {
        let publicID = try db.first(
            "SELECT public_id FROM resend_batches WHERE fingerprint = $1 AND state = 'processing'",
            [.text(fingerprint)]
        ) { $0.text(0) }
        return try publicID.flatMap { try findBatch(publicID: $0, in: db) }
    }
}
