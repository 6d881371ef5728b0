import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Items of jobs that could not be enqueued: each has a name and a reason (`docs/contract.md` 13.4), and a dry run
/// knows them ahead (13.7).
struct FailedItemTests {
    private static let request = ResendRequest(
        merchantID: Fixtures.merchantID,
        window: ResendWindow(
            startSeconds: Fixtures.start.seconds - 3_600, endSeconds: Fixtures.start.seconds + 3_600),
        statuses: PayoutStatus.notifiable)
    private static let rules = ChunkRules(
        now: Fixtures.start + .seconds(9), due: Fixtures.start, policy: AddressPolicy(), backlogMax: 1_000_000)

    private func opening(_ name: Character = "a") -> ResendOpening {
        ResendOpening(accountID: 1, jobID: String(repeating: name, count: 32), requester: Requester(actor: "key:test"))
    }

    /// Paid payouts, of which one in five was erased, and one in five goes to an address that is refused now.
    private func store(_ kind: TestEngine, _ count: Int, wrapping: (any StoreEngine) -> any StoreEngine = { $0 })
        async throws -> (store: Store, folder: ScratchFolder)
    {
        let folder = try ScratchFolder()
        let store = try await Fixtures.store(kind, in: folder, wrapping: wrapping)
        let ids = try await store.createPayouts(count)
        try await store.report(.paid, ids)
        _ = try await store.engine.write(.intake) { db in
            try db.run("UPDATE payouts SET erased_at = 1 WHERE id % 5 = 0")
            try db.run(
                "INSERT INTO receivers (id, merchant_id, origin, is_known, health_since, created_at) "
                    + "VALUES (900, 303, 'https://127.0.0.1:443', 1, 0, 0)")
            try db.run(
                "UPDATE payouts SET notification_url = 'https://127.0.0.1/hook', receiver_id = 900 WHERE id % 5 = 1")
            // What is counted by receiver follows them there.
            try db.run("DELETE FROM receiver_counts")
            try db.run(
                """
                INSERT INTO receiver_counts (merchant_id, receiver_id, status_id, minute, current, unacked)
                SELECT c.merchant_id, p.receiver_id, c.status_id, c.changed_s / 60, count(*), count(*)
                FROM status_changes c JOIN payouts p ON p.id = c.payout_id
                WHERE c.notification_id IS NOT NULL AND c.superseded_seq IS NULL
                GROUP BY c.merchant_id, p.receiver_id, c.status_id, c.changed_s / 60
                """)
        }
        return (store, folder)
    }

    private func finish(_ store: Store) async throws -> [ResendStep] {
        var steps: [ResendStep] = []
        while steps.count < 100 {
            let step = try await store.advanceResend(after: nil, Self.rules)
            if step.progress == .idle { return steps }
            steps.append(step)
        }
        return steps
    }

    private func walk(
        _ store: Store, _ job: Resend, _ outcome: LedgerOutcome?, limit: Int64 = 7
    ) async throws -> [LedgerItem] {
        var items: [LedgerItem] = []
        var page = CursorPage(limit: limit)
        repeat {
            let found = try await store.listLedger(job, outcome: outcome, page)
            items += found.items
            page.after = found.after
        } while page.after != nil
        return items
    }

    @Test("the ledger names each with its reason, and the counts agree", arguments: TestEngine.allCases)
    func ledger(_ kind: TestEngine) async throws {
        let (store, folder) = try await store(kind, 500)
        let opened = try #require(try await store.openResend(Self.request, opening(), now: Fixtures.start).resend)
        let steps = try await finish(store)
        #expect(steps.reduce(0) { $0 + ($1.failures[.erased] ?? 0) } == 100)
        #expect(steps.reduce(0) { $0 + ($1.failures[.addressForbidden] ?? 0) } == 100)
        let job = try #require(try await store.resend(jobID: opened.jobID))
        #expect((job.queued, job.failed, job.total, job.state) == (300, 200, 500, .completed))
        let failed = try await walk(store, job, .failed)
        #expect(failed.count == 200)
        for item in failed {
            #expect(item.lastReason == (item.payoutID % 5 == 0 ? "erased" : "address_forbidden"))
            #expect((item.attempts, item.lastStatusCode, item.lastAttemptAt) == (0, nil, nil))
            #expect(item.webhookID != nil && item.invoice != nil)
        }
        let all = try await walk(store, job, nil)
        #expect(all.count == 500 && all.map(\.payoutID) == all.map(\.payoutID).sorted())
        #expect(all.filter { $0.outcome == .failed } == failed)
        #expect(try await walk(store, job, .pending).count == 300)
        #expect(try await walk(store, job, .delivered).isEmpty)
        #expect(try await store.resendDetails(jobID: job.jobID)?.phase == .delivering)
        #expect(try await store.recount(engineNow: Fixtures.start) == [])
        _ = folder
    }

    @Test("a dry run knows them ahead, and its total is what dispatch answers", arguments: TestEngine.allCases)
    func ahead(_ kind: TestEngine) async throws {
        let (store, folder) = try await store(kind, 50)
        let rules = ExplainRules(policy: AddressPolicy(), firstWait: .zero, now: Fixtures.start)
        let explained = try await store.explain(Self.request, rules)
        #expect(explained.total == 50)
        #expect(explained.wouldFail == ResendExplanation.WouldFail(erased: 10, addressForbidden: 10))
        #expect(explained.byReceiver.map(\.healthWord) == ["ok", "refused"])
        #expect(explained.byReceiver.map(\.total) == [40, 10])
        #expect(explained.estimate.seconds == 1)
        let opened = try #require(try await store.openResend(Self.request, opening(), now: Fixtures.start).resend)
        #expect(opened.total == explained.total)
        _ = try await finish(store)
        #expect(try await store.resend(jobID: opened.jobID)?.failed == explained.wouldFail.total)
        var other = Self.request
        other.statuses = [PayoutStatus.canceled.id]
        #expect(try await store.explain(other, rules).wouldFail.total == 0, "only what matches")
        _ = folder
    }

    @Test("an estimate at a paused or broken receiver is not made", arguments: TestEngine.allCases)
    func noEstimate(_ kind: TestEngine) async throws {
        let (store, folder) = try await store(kind, 50)
        let rules = ExplainRules(policy: AddressPolicy(), firstWait: .zero, now: Fixtures.start)
        for (column, reason) in [
            ("broken_at", ResendEstimate.Wait.Reason.broken), ("paused_at", .paused),
        ] {
            _ = try await store.engine.write(.intake) { db in
                try db.run("UPDATE receivers SET \(column) = 1 WHERE id <> 900")
            }
            let estimate = try await store.explain(Self.request, rules).estimate
            #expect(estimate.seconds == nil)
            #expect(estimate.waits.map(\.reason) == [reason])
        }
        _ = folder
    }

    @Test("a chunk that fails at any statement names each item once", arguments: TestEngine.allCases)
    func faults(_ kind: TestEngine) async throws {
        var faulty: FaultyEngine?
        let (store, folder) = try await store(kind, 20) { base in
            let engine = FaultyEngine(base)
            faulty = engine
            return engine
        }
        let faults = try #require(faulty)
        let opened = try #require(try await store.openResend(Self.request, opening(), now: Fixtures.start).resend)
        for statement in 1...60 {
            faults.fail(atStatement: statement)
            let step = try? await store.advanceResend(after: nil, Self.rules)
            faults.disarm()
            if step != nil { break }
            #expect(try await store.number("SELECT count(*) FROM resend_failures") == 0)
        }
        let job = try #require(try await store.resend(jobID: opened.jobID))
        #expect((job.queued, job.failed, job.state) == (12, 8, .completed))
        #expect(try await walk(store, job, .failed).count == 8)
        #expect(try await store.recount(engineNow: Fixtures.start) == [])
        _ = folder
    }

    @Test("they go with their job, no sooner, a bounded number at a time", arguments: TestEngine.allCases)
    func forgotten(_ kind: TestEngine) async throws {
        let (store, folder) = try await store(kind, 20)
        let opened = try #require(try await store.openResend(Self.request, opening(), now: Fixtures.start).resend)
        _ = try await finish(store)
        _ = try await store.engine.write(.intake) { db in
            // More than one sweep removes.
            try db.run(
                """
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
                INSERT INTO resend_failures (merchant_id, resend_id, object_id, registration_id, reason)
                SELECT 303, $1, 1000 + i, 0, 'erased' FROM n
                """, [.int(opened.id)])
        }
        func sweep(days: Int64) async throws -> SweepResult {
            try await store.sweep(
                from: SweepPosition(), retention: .standard, now: Fixtures.start + .seconds(days * 86_400))
        }
        _ = try await sweep(days: 89)
        #expect(try await store.number("SELECT count(*) FROM resend_failures") == 1_508)
        let first = try await sweep(days: 91)
        #expect(first.hasMore)
        #expect(try await store.number("SELECT count(*) FROM resend_failures") == 508)
        #expect(try await store.number("SELECT count(*) FROM resends") == 1)
        _ = try await sweep(days: 91)
        #expect(try await store.number("SELECT count(*) FROM resend_failures") == 0)
        #expect(try await store.number("SELECT count(*) FROM resends") == 0)
        _ = folder
    }
}
