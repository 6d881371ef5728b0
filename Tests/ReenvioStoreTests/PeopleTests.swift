import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// People's data and how long things are kept: `docs/contract.md` 14.
struct PeopleTests {
    private static let requester = Requester(actor: "cli:test")

    private static func window(_ start: Timestamp) -> ResendWindow {
        ResendWindow(startSeconds: start.seconds - 60, endSeconds: start.seconds + 60)
    }

    private static func open(_ store: Store, _ name: Character = "a") async throws -> Resend {
        let request = ResendRequest(
            merchantID: Fixtures.merchantID, window: window(Fixtures.start), statuses: PayoutStatus.notifiable)
        let opening = ResendOpening(
            accountID: 1, jobID: String(repeating: name, count: 32), requester: requester)
        return try #require(try await store.openResend(request, opening, now: Fixtures.start).resend)
    }

    private static let rules = ChunkRules(
        now: Fixtures.start, due: Fixtures.start, policy: AddressPolicy(), backlogMax: 1_000)

    @Test("erasing destroys the parties and keeps the rest; once more changes nothing", arguments: TestEngine.allCases)
    func erase(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(2)
        try await store.report(.paid, ids)
        let before = try #require(try await store.payout(id: ids[0], accountID: nil))
        #expect(before.parties != nil)
        #expect(
            try await store.eraseParties(payoutIDs: [ids[0], 999], by: Self.requester, now: Fixtures.start) == [ids[0]])
        var expected = before
        expected.parties = nil
        #expect(try await store.payout(id: ids[0], accountID: nil) == expected)
        #expect(try await store.payout(id: ids[1], accountID: nil)?.parties != nil)
        #expect(try await store.number("SELECT count(*) FROM parties") == 1)
        #expect(try await store.eraseParties(payoutIDs: [ids[0]], by: Self.requester, now: Fixtures.start) == [ids[0]])
        let audit = try await store.listAudit(CursorPage()).rows.filter { $0.action == "payout.erase" }
        #expect(audit.map(\.target) == ["payout \(ids[0])"])
        #expect(audit[0].accountID == Fixtures.accountID)
        #expect(audit[0].parameters.isEmpty)
    }

    @Test(
        "a resend of an erased payout counts as failed, also one erased after the dispatch",
        arguments: TestEngine.allCases)
    func resendOfErased(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(3)
        try await store.report(.paid, ids)
        _ = try await store.eraseParties(payoutIDs: [ids[0]], by: Self.requester, now: Fixtures.start)
        let job = try await Self.open(store)
        #expect(job.total == 3)
        _ = try await store.eraseParties(payoutIDs: [ids[1]], by: Self.requester, now: Fixtures.start)
        _ = try await store.advanceResend(after: nil, Self.rules)
        let ended = try #require(try await store.resend(jobID: job.jobID))
        #expect(ended.state == .completed)
        #expect(ended.queued == 1)
        #expect(ended.failed == 2)
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test(
        "a document is found as a beneficiary's number and as a PIX key, across pages", arguments: TestEngine.allCases)
    func findByDocument(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(Store.partiesPerPage + 5)
        let number = try #require(
            try await store.payout(id: ids[0], accountID: nil)?.parties?.beneficiary.documentNumber)
        let document = try #require(DocumentNumber(written: number))
        var found: [Int64] = []
        var next: PartiesKey?
        var pages = 0
        repeat {
            let page = try await store.findParties(document: document, after: next)
            found += page.payoutIDs
            next = page.next
            pages += 1
        } while next != nil
        #expect(found == ids)
        #expect(pages == 2)
        let other = try #require(DocumentNumber(written: "00000000000"))
        #expect(try await store.findParties(document: other, after: nil).payoutIDs.isEmpty)
    }

    @Test("parties go with their age, but never those of a merchant whose resend runs", arguments: TestEngine.allCases)
    func partiesRetention(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(2)
        try await store.report(.paid, ids)
        _ = try await Self.open(store)
        let retention = try #require(Retention("parties=10d"))
        func sweep(_ days: Int) async throws -> Int {
            try await store.sweep(
                from: SweepPosition(), retention: retention, now: Fixtures.start + .seconds(days * 86_400)
            ).parties
        }
        #expect(try await sweep(11) == 0, "a resend runs")
        _ = try await store.advanceResend(after: nil, Self.rules)
        #expect(try await sweep(9) == 0)
        #expect(try await sweep(11) == 2)
        let payout = try #require(try await store.payout(id: ids[0], accountID: nil))
        #expect(payout.parties == nil)
        _ = try await Self.open(store, "b")
        let step = try await store.advanceResend(after: nil, Self.rules)
        #expect(step.queued == 2, "aged is not erased: the webhook names nobody and may be sent again")
    }

    @Test("answers may go before their attempts, piece by piece", arguments: TestEngine.allCases)
    func answersRetention(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let old = Fixtures.start
        let count = Store.sweepMax + 10
        try await store.engine.write(.intake) { db in
            for number in 1...count {
                let at = number <= count / 2 ? old : old + .seconds(5 * 86_400)
                try db.run(
                    """
                    INSERT INTO attempts (merchant_id, delivery_id, number, attempt_id, notification_id, started_at,
                        duration_ms, status_code, reason, answer)
                    VALUES (1, $1, 1, $2, 1, $3, 1, 200, NULL, $4)
                    """, [.int(number), .blob([1]), .time(at), .blob([0x6F, 0x6B])])
            }
            return ()
        }
        let retention = try #require(Retention("answers=3d"))
        let now = old + .seconds(6 * 86_400)
        var position = SweepPosition()
        var answers = 0
        var steps = 0
        repeat {
            let result = try await store.sweep(from: position, retention: retention, now: now)
            #expect(result.attempts == 0)
            answers += result.answers
            position = result.position
            steps += 1
        } while position != SweepPosition() && steps < 10
        #expect(steps == 2)
        #expect(answers == count / 2)
        #expect(try await store.number("SELECT count(*) FROM attempts WHERE answer IS NULL") == Int64(count / 2))
        #expect(try await store.number("SELECT count(*) FROM attempts") == Int64(count))
    }

    @Test("audit rows and idempotency keys go with their age", arguments: TestEngine.allCases)
    func otherRetention(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let claim = try IdempotencyClaim(accountID: 1, method: "POST", path: "/p", key: "k", body: [1])
        let draft = try Fixtures.draft(invoice: "i", url: nil)
        let creates = [IntakeBatch.NewPayout(draft: draft, merchantID: Fixtures.merchantID, claim: claim)]
        let now = Fixtures.start
        _ = try await store.commitIntake(IntakeBatch(creates: creates), now: now, due: now, nonces: [])
        #expect(try await store.idempotencyState(claim, now: now) == .made(objectID: 1))
        let rows = try await store.number("SELECT count(*) FROM audit") ?? 0
        let early = try await store.sweep(
            from: SweepPosition(), retention: .standard, now: now + .seconds(24 * 3_600 - 1))
        #expect(early.idempotencyKeys == 0)
        let late = try await store.sweep(from: SweepPosition(), retention: .standard, now: now + .seconds(24 * 3_600))
        #expect(late.idempotencyKeys == 1)
        #expect(late.audit == 0)
        let last = try await store.sweep(
            from: SweepPosition(), retention: .standard, now: now + .seconds(401 * 86_400))
        #expect(Int64(last.audit) == rows)
    }
}
