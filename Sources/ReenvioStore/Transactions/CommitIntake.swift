package import ReenvioModel

/// Everything that one group commit takes in: whole requests, decided on locked rows (`docs/architecture.md`, rule 1).
package struct IntakeBatch: Sendable {
    package struct NewPayout: Sendable {
        package var draft: PayoutDraft
        package var merchantID: Int64
        package var claim: IdempotencyClaim?
        /// When the platform says that it was created; nil: now (`docs/contract.md` 2.1).
        package var createdAt: Timestamp?

        package init(
            draft: PayoutDraft, merchantID: Int64, claim: IdempotencyClaim? = nil, createdAt: Timestamp? = nil
        ) {
            self.draft = draft
            self.merchantID = merchantID
            self.claim = claim
            self.createdAt = createdAt
        }
    }

    package var creates: [NewPayout]
    package var changes: [StatusChangeRequest]
    /// Payouts that the answer shows, as they stand after the changes.
    package var shown: [Int64]

    package init(creates: [NewPayout] = [], changes: [StatusChangeRequest] = [], shown: [Int64] = []) {
        self.creates = creates
        self.changes = changes
        self.shown = shown
    }
}

/// What became of a batch, item by item, in the order of the batch.
package struct IntakeResult: Sendable {
    package enum Created: Sendable, Equatable {
        case payout(id: Int64)
        /// Another payout of the merchant has the invoice (`docs/contract.md` 2.1, duplication block).
        case invoiceTaken
        /// An equal request with the same `Idempotency-Key` made this payout (`docs/contract.md` 13.8).
        case replayed(id: Int64)
        /// Another body came with the same `Idempotency-Key`.
        case keyReused
    }

    package enum Changed: Sendable, Equatable {
        case applied
        case unchanged
        case refused(StatusFlow.Refusal)
    }

    package var creates: [Created]
    package var changes: [Changed]
    /// Deliveries written, so that the dispatcher is woken only for something.
    package var deliveries: Int
    /// Wall time of the commit: when new payouts were created.
    package var at: Timestamp
    /// Those that the batch asked to be shown, their parties still sealed.
    var shown: [Int64: SealedPayout]

    init(
        creates: [Created], changes: [Changed], deliveries: Int, at: Timestamp, shown: [Int64: SealedPayout] = [:]
    ) {
        self.creates = creates
        self.changes = changes
        self.deliveries = deliveries
        self.at = at
        self.shown = shown
    }

    /// The part of it that belongs to one request.
    package func part(creates: ArraySlice<Created>, changes: ArraySlice<Changed>) -> IntakeResult {
        var part = self
        (part.creates, part.changes) = (Array(creates), Array(changes))
        return part
    }
}

extension Store {
    /// One transaction for many requests: each is decided on its own, a refused one disturbs nobody.
    /// - Parameters:
    ///   - now: wall time, which history and bodies show.
    ///   - due: engine time at which the new deliveries may first be tried.
    ///   - nonces: random bits for webhook ids, at least one per change.
    ///   - lockWait: how long it waits for a row that another node has locked; nil: as long as any write.
    /// - Throws: `StoreError.locked` beyond that.
    package func commitIntake(
        _ batch: IntakeBatch, now: Timestamp, due: Timestamp, nonces: [UInt64],
        lockWait: Duration? = nil
    ) async throws -> IntakeResult {
        let sealed = try batch.creates.map {
            try seal($0.draft.parties, merchantID: $0.merchantID, invoice: $0.draft.invoice)
        }
        let sealing = sealing
        let result = try await engine.write(.changes) { db in
            if let lockWait { try db.waitForLocks(atMost: lockWait) }
            let merchants = try StatusChanges.merchants(of: batch.changes, in: db)
            var clocks = try MerchantClocks(locking: merchants + batch.creates.map(\.merchantID), in: db)
            var creates = IdempotentCreates(batch.creates)
            try creates.run(batch.creates, now: now, in: db) { indices in
                try NewPayouts.insert(
                    indices.map { batch.creates[$0] }, sealed: indices.map { sealed[$0] }, keyID: sealing.id,
                    clocks: &clocks, now: now, in: db
                )
            }
            var changes = try StatusChanges(batch.changes, clocks: clocks, sealing: sealing, now: now, in: db)
            let changed = try changes.apply(batch.changes, due: due, nonces: nonces, in: db)
            try changes.clocks.save(in: db)
            // Read where they were just written: a reader's snapshot would cost more than the statement.
            var shown: [Int64: SealedPayout] = [:]
            for id in Set(batch.shown) { shown[id] = try Self.findPayout(id, accountID: nil, in: db) }
            try Self.auditCancels(batch.changes, changed, now: now, in: db)
            return IntakeResult(
                creates: creates.results.compactMap { $0 }, changes: changed, deliveries: changes.deliveries, at: now,
                shown: shown)
        }
        if result.deliveries > 0 { engine.sharing?.announce() }
        return result
    }

    /// A cancel by the merchant is an act of a person's; what the platform reports is history, not audit.
    private static func auditCancels(
        _ changes: [StatusChangeRequest], _ results: [IntakeResult.Changed], now: Timestamp, in db: any SQLConnection
    ) throws {
        for (change, result) in zip(changes, results) where result == .applied {
            guard let requester = change.canceledBy else { continue }
            let accountID = try db.first(
                "SELECT m.account_id FROM payouts p JOIN merchants m ON m.id = p.merchant_id WHERE p.id = $1",
                [.int(change.payoutID)]
            ) { $0.int(0) }
            let entry = Audit.Entry(
                at: now, accountID: accountID, by: requester, action: "payout.cancel",
                target: "payout \(change.payoutID)")
            try Audit.write(entry, in: db)
        }
    }

    /// Whose rows each batch decides on.
    package func merchants(of batches: [IntakeBatch]) async throws -> [Set<Int64>] {
        let payouts = Set(batches.lazy.flatMap(\.changes).map(\.payoutID))
        var rows = SQLRows([("id", .int)], reserving: payouts.count)
        for id in payouts.sorted() { rows.append([.int(id)]) }
        let wanted = rows
        let owners = try await engine.lookup { db in
            var owners: [Int64: Int64] = [:]
            try db.batch("SELECT p.id, p.merchant_id FROM payouts p, {rows} WHERE p.id = rows.id", wanted) {
                owners[$0.int(0)] = $0.int(1)
            }
            return owners
        }
        return batches.map { batch in
            Set(batch.creates.map(\.merchantID)).union(batch.changes.compactMap { owners[$0.payoutID] })
        }
    }

    /// A payout as it stood after a commit that was asked to show it; nil for one that does not exist.
    package func payout(_ id: Int64, in result: IntakeResult) throws -> Payout? {
        try result.shown[id].map { try open($0) }
    }

    func seal(_ parties: Parties, merchantID: Int64, invoice: String) throws -> [UInt8] {
        try sealing.seal(parties.json, context: Self.partiesContext(merchantID: merchantID, invoice: invoice))
    }

    static func partiesContext(merchantID: Int64, invoice: String) -> String {
        "parties of payout \(invoice) of merchant \(merchantID)"
    }
}
