package import ReenvioModel

/// What became of a request to send one payout's latest notification again (`docs/contract.md` 13.9).
package enum OneResent: Sendable, Equatable {
    case enqueued(WebhookID)
    case notFound
    case neverNotified
    case erased
    /// The address rules of today refuse its URL.
    case urlRefused
    /// An equal request with the same `Idempotency-Key` made this one.
    case replayed(resendID: Int64)
    case keyReused
}

/// A request to send one payout's latest notification again.
package struct OneResend: Sendable {
    package var payoutID: Int64
    /// Nil: of every account.
    package var accountID: Int64?
    package var publicID: String
    package var requester: Requester
    package var claim: IdempotencyClaim?
    /// That of the request, where it had one.
    package var trace: TraceParent?

    package init(
        payoutID: Int64, accountID: Int64?, publicID: String, requester: Requester, claim: IdempotencyClaim? = nil,
        trace: TraceParent? = nil
    ) {
        self.trace = trace
        self.payoutID = payoutID
        self.accountID = accountID
        self.publicID = publicID
        self.requester = requester
        self.claim = claim
    }
}

extension Store {
    /// A resend of one item: the same row and the same lane as a job, complete with the commit that enqueues it.
    /// Several may run for one payout.
    package func resendOne(_ request: OneResend, _ rules: ChunkRules) async throws -> OneResent {
        let resent = try await engine.write(.intake) { db -> OneResent in
            guard let claim = request.claim else { return try enqueueOne(request, rules, in: db).result }
            switch try IdempotencyKeys.claim(claim, now: rules.now, in: db) {
            case .made(let id): return .replayed(resendID: id)
            case .otherBody: return .keyReused
            case .new: break
            }
            let (result, resendID) = try enqueueOne(request, rules, in: db)
            if let resendID {
                try IdempotencyKeys.fill(claim, objectID: resendID, in: db)
            } else {
                try IdempotencyKeys.release(claim, in: db)
            }
            return result
        }
        if case .enqueued = resent { announceWork() }
        return resent
    }

    /// The webhook id that such a resend answered with.
    package func webhookID(ofOneResend id: Int64) async throws -> WebhookID? {
        try await engine.read { db in
            try db.first(
                """
                SELECT n.id, n.nonce FROM resends r JOIN notifications n ON n.id = r.object_id
                WHERE r.id = $1 AND r.kind = $2
                """, [.int(id), .text(Resend.Kind.v2One.rawValue)]
            ) { WebhookID(id: $0.int(0), nonce: UInt64(bitPattern: $0.int(1))) }
        }
    }

    private struct OneTarget {
        var merchantID: Int64
        var accountID: Int64
        var receiverID: Int64
        var url: String
        var isErased: Bool
        var webhookID: WebhookID?
    }

    private func enqueueOne(
        _ request: OneResend, _ rules: ChunkRules, in db: any SQLConnection
    ) throws -> (result: OneResent, resendID: Int64?) {
        let target = try db.first(
            """
            SELECT p.merchant_id, m.account_id, p.receiver_id, p.notification_url, p.erased_at IS NOT NULL,
                n.id, n.nonce
            FROM payouts p JOIN merchants m ON m.id = p.merchant_id
            LEFT JOIN notifications n ON n.id = p.latest_notification_id
            WHERE p.id = $1 AND (CAST($2 AS BIGINT) IS NULL OR m.account_id = $2) FOR SHARE OF p
            """, [.int(request.payoutID), .optional(request.accountID)]
        ) { row in
            OneTarget(
                merchantID: row.int(0), accountID: row.int(1), receiverID: row.intIfPresent(2) ?? 0,
                url: row.textIfPresent(3) ?? "", isErased: row.bool(4),
                webhookID: row.isNull(5) ? nil : WebhookID(id: row.int(5), nonce: UInt64(bitPattern: row.int(6))))
        }
        guard let target else { return (.notFound, nil) }
        guard let webhookID = target.webhookID else { return (.neverNotified, nil) }
        guard !target.isErased else { return (.erased, nil) }
        guard (try? ReceiverURL(parsing: target.url, policy: rules.policy)) != nil else { return (.urlRefused, nil) }
        let resendID = try insertOne(request, target, notificationID: webhookID.id, now: rules.now, in: db)
        let queue = QueueID(receiverID: target.receiverID, lane: .resend)
        try db.run(
            """
            INSERT INTO deliveries (merchant_id, id, queue_id, due_at, payout_id, resend_id, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            """,
            [
                .int(target.merchantID), .int(try db.nextIDs(.delivery, 1)[0]), .int(queue.raw), .time(rules.due),
                .int(request.payoutID), .int(resendID), .time(rules.now),
            ])
        try Self.probeSoon(merchantID: target.merchantID, now: rules.now, in: db)
        var wakes = QueueWakes()
        wakes.add(target.merchantID, queue, due: rules.due)
        try wakes.save(in: db)
        let entry = Audit.Entry(
            at: rules.now, accountID: target.accountID, by: request.requester, action: "resend.one",
            target: "payout \(request.payoutID)")
        try Audit.write(entry, in: db)
        return (.enqueued(webhookID), resendID)
    }

    private func insertOne(
        _ request: OneResend, _ target: OneTarget, notificationID: Int64, now: Timestamp, in db: any SQLConnection
    ) throws -> Int64 {
        let id = try db.nextIDs(.resend, 1)[0]
        try db.run(
            """
            INSERT INTO resends (id, merchant_id, account_id, kind, public_id, requested_by, state, ended, statuses,
                object_id, frozen_seq, cursor_s, cursor_seq, total, queued, started_at, updated_at, ended_at,
                trace)
            VALUES ($1, $2, $3, $4, $5, $6, 'completed', 'completed', '', $7, 0, 0, 0, 1, 1, $8, $8, $8, $9)
            """,
            [
                .int(id), .int(target.merchantID), .int(target.accountID), .text(Resend.Kind.v2One.rawValue),
                .text(request.publicID), .text(request.requester.actor), .int(notificationID), .time(now),
                .optional(request.trace?.bytes),
            ])
        return id
    }
}
