package import ReenvioModel

/// Who asks for a resend, and under which name it will be known.
package struct ResendOpening: Sendable {
    package var accountID: Int64
    package var jobID: String
    package var requester: Requester
    package var claim: IdempotencyClaim?
    /// That of the request, where it had one.
    package var trace: TraceParent?

    package init(
        accountID: Int64, jobID: String, requester: Requester, claim: IdempotencyClaim? = nil,
        trace: TraceParent? = nil
    ) {
        self.trace = trace
        self.accountID = accountID
        self.jobID = jobID
        self.requester = requester
        self.claim = claim
    }
}

/// What became of a resend request.
package enum ResendOpened: Sendable, Equatable {
    case opened(Resend)
    /// One runs for the merchant and start time already (409).
    case alreadyRunning
    /// An equal request with the same `Idempotency-Key` made this one (`docs/contract.md` 13.8).
    case replayed(id: Int64)
    /// Another body came with the same `Idempotency-Key`.
    case keyReused

    package var resend: Resend? {
        if case .opened(let resend) = self { resend } else { nil }
    }
}

extension Store {
    /// Freezes the matched set, counts it and inserts the job, in one transaction (`docs/architecture.md`, rule 3). A
    /// job that matches nothing is complete at once. That one runs already for the merchant and start time is said by
    /// the partial unique index, whatever would match.
    package func openResend(
        _ request: ResendRequest, _ opening: ResendOpening, now: Timestamp
    ) async throws -> ResendOpened {
        let (opened, told) = try await engine.write(.intake) { db in
            let opened = try openOnce(request, opening, now: now, in: db)
            guard let resend = opened.resend, resend.total == 0 else { return (opened, WrittenNotices()) }
            return (opened, try tellEnd(ofJob: resend.id, in: db))
        }
        if opened.resend != nil { announceWork() }
        announce(told)
        return opened
    }

    /// Once for each `Idempotency-Key`.
    private func openOnce(
        _ request: ResendRequest, _ opening: ResendOpening, now: Timestamp, in db: any SQLConnection
    ) throws -> ResendOpened {
        guard let claim = opening.claim else { return try open(request, opening, now: now, in: db) }
        switch try IdempotencyKeys.claim(claim, now: now, in: db) {
        case .made(let id): return .replayed(id: id)
        case .otherBody: return .keyReused
        case .new: break
        }
        let result = try open(request, opening, now: now, in: db)
        if let resend = result.resend {
            try IdempotencyKeys.fill(claim, objectID: resend.id, in: db)
        } else {
            try IdempotencyKeys.release(claim, in: db)
        }
        return result
    }

    private func open(
        _ request: ResendRequest, _ opening: ResendOpening, now: Timestamp, in db: any SQLConnection
    ) throws -> ResendOpened {
        var clocks = try MerchantClocks(locking: [request.merchantID], in: db)
        let frozen = clocks.current(request.merchantID)
        // The dispatch takes a number of its own, so that whatever follows is greater than what was frozen.
        _ = clocks.next(request.merchantID)
        let total = try CountMatching.total(of: request, in: db)
        let resend = Resend(
            id: try db.nextIDs(.resend, 1)[0], jobID: opening.jobID, merchantID: request.merchantID,
            accountID: opening.accountID, kind: request.product.kind, state: .processing, window: request.window,
            total: total,
            queued: 0, failed: 0, reason: nil, requestedBy: opening.requester.actor, startedAt: now, updatedAt: now,
            endedAt: nil
        )
        guard try insert(resend, request, trace: opening.trace, frozenSeq: frozen, batchID: nil, in: db) else {
            return .alreadyRunning
        }
        try clocks.save(in: db)
        try Self.probeSoon(merchantID: request.merchantID, now: now, in: db)
        try Audit.write(auditEntry(request, opening, now: now), in: db)
        if total == 0 { try EndResend(.completed).run(id: resend.id, in: db) }
        return .opened(resend)
    }

    /// A request to resend says that the receivers work again: broken ones are probed at once rather than in minutes,
    /// unless they asked to be left alone.
    static func probeSoon(merchantID: Int64, now: Timestamp, in db: any SQLConnection) throws {
        // Engine time is not known here; before all of it is soon enough.
        try db.run(
            """
            UPDATE receivers SET resume_at = 0, probe_at = 0
            WHERE merchant_id = $1 AND broken_at IS NOT NULL AND paused_at IS NULL AND resume_at > 0
            """, [.int(merchantID)])
    }

    private func auditEntry(_ request: ResendRequest, _ opening: ResendOpening, now: Timestamp) -> Audit.Entry {
        let start = TimeText.plain(Timestamp(seconds: request.window.startSeconds))
        let end = TimeText.plain(Timestamp(seconds: request.window.endSeconds))
        return Audit.Entry(
            at: now, accountID: opening.accountID, by: opening.requester, action: "resend.create",
            target: "job \(opening.jobID)",
            parameters:
                "merchant \(request.merchantID), \(start) to \(end), statuses \(StatusList.text(request.statuses))"
                + request.options.auditText
        )
    }

    /// A job of a batch, counted and frozen by its caller, who has seen that its lock is free.
    func insertJob(
        _ request: ResendRequest, _ opening: ResendOpening, total: Int64, frozenSeq: Int64,
        batch: (id: Int64, publicID: String), now: Timestamp, in db: any SQLConnection
    ) throws {
        let resend = Resend(
            id: try db.nextIDs(.resend, 1)[0], jobID: opening.jobID, merchantID: request.merchantID,
            accountID: opening.accountID, kind: request.product.kind, state: .processing, window: request.window,
            total: total, queued: 0, failed: 0, reason: nil, requestedBy: opening.requester.actor, startedAt: now,
            updatedAt: now, endedAt: nil)
        guard try insert(resend, request, trace: opening.trace, frozenSeq: frozenSeq, batchID: batch.id, in: db) else {
            throw StoreError.unavailable("another job took the lock of a window of batch \(batch.publicID)")
        }
        var entry = auditEntry(request, opening, now: now)
        entry.parameters += ", batch \(batch.publicID)"
        try Audit.write(entry, in: db)
    }

    private func insert(
        _ resend: Resend, _ request: ResendRequest, trace: TraceParent?, frozenSeq: Int64, batchID: Int64?,
        in db: any SQLConnection
    ) throws -> Bool {
        let changed = try db.run(
            """
            INSERT INTO resends (id, merchant_id, account_id, kind, public_id, requested_by, state, window_start,
                window_end, statuses, frozen_seq, cursor_s, cursor_seq, total, started_at, updated_at, only_unacked,
                max_per_second, canary, trace, batch_id)
            VALUES ($1, $2, $3, $4, $5, $6, 'processing', $7, $8, $9, $10, $7, 0, $11, $12, $12, $13, $14, $15, $16,
                $17)
            ON CONFLICT DO NOTHING
            """,
            [
                .int(resend.id), .int(resend.merchantID), .int(resend.accountID), .text(resend.kind.rawValue),
                .text(resend.jobID), .text(resend.requestedBy), .int(resend.window.startSeconds),
                .int(resend.window.endSeconds), .text(StatusList.text(request.statuses)), .int(frozenSeq),
                .int(resend.total), .time(resend.startedAt), .bool(request.options.onlyUnacknowledged),
                .optional(request.options.maxPerSecond), .optional(request.options.canary),
                .optional(trace?.bytes), .optional(batchID),
            ]
        )
        if changed == 0 { try db.expectFree(resend.id, of: .resend) }
        return changed == 1
    }
}

/// Status ids as they stand in a row: `1,3,6`.
enum StatusList {
    static func text(_ statuses: [Int64]) -> String {
        statuses.map { String($0) }.joined(separator: ",")
    }

    static func statuses(_ text: String) -> Set<Int64> {
        Set(text.split(separator: ",").compactMap { Int64($0) })
    }
}
