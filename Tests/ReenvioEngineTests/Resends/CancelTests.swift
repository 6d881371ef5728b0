import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// Outcome and cancel of jobs (`docs/contract.md` 13.1, 13.2).
struct CancelTests {
    private let requester = EngineFixture.requester

    private func details(_ job: Resend, _ fixture: EngineFixture) async throws -> ResendDetails {
        let details = try #require(try await fixture.store.resendDetails(jobID: job.jobID))
        let outcome = details.outcome
        #expect(
            outcome.delivered + outcome.undelivered + outcome.pending + outcome.skipped == details.resend.queued)
        #expect(outcome.pending >= 0)
        return details
    }

    private func cancel(_ job: Resend, _ fixture: EngineFixture) async throws -> ResendCanceled {
        try await fixture.engine.cancelResend(jobID: job.jobID, accountID: 1, by: requester)
    }

    private func sweep(_ fixture: EngineFixture) async throws {
        while try await fixture.store.sweepCanceled(now: fixture.clock.wall, engineNow: fixture.clock.engine).ended > 0
        {}
    }

    private func expectSound(_ fixture: EngineFixture) async throws {
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine) == [])
    }

    @Test func `the outcome adds up to what is queued, at every step`() async throws {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(230)
        #expect(try await details(job, fixture).ended == nil)
        _ = try await fixture.engine.runner.step(now: fixture.clock.now)
        #expect(try await details(job, fixture).outcome.pending == 200)
        try await fixture.advance()
        var answered = 0
        try await fixture.deliver { _ in
            answered += 1
            return answered <= 5 ? 410 : 200
        }
        let ended = try await details(job, fixture)
        #expect(ended.outcome == ResendOutcome(delivered: 225, undelivered: 5, pending: 0, skipped: 0))
        #expect(ended.ended == "completed")
        #expect(ended.resend.requestedBy == "key:test")
        try await expectSound(fixture)
    }

    @Test func `a job canceled between two chunks enqueues no more, and frees its lock`() async throws {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(450)
        _ = try await fixture.engine.runner.step(now: fixture.clock.now)
        guard case .canceled(let canceled) = try await cancel(job, fixture) else {
            Issue.record("it was not canceled")
            return
        }
        #expect((canceled.state, canceled.reason) == (.failed, "Canceled."))
        #expect((canceled.queued, canceled.total) == (200, 450))
        let after = try await details(job, fixture)
        #expect(after.outcome == ResendOutcome(delivered: 0, undelivered: 0, pending: 0, skipped: 200))
        #expect(after.ended == "canceled")
        try await fixture.advance()
        #expect(try await details(job, fixture).resend.queued == 200)
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0, "nothing of it is sent")
        try await sweep(fixture)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 0)
        #expect(
            try await fixture.store.number(
                "SELECT count(*) FROM settled WHERE state = 'skipped' AND reason = 'canceled'") == 200)
        #expect(try await details(job, fixture).outcome.skipped == 200)
        let again = ResendRequest(
            merchantID: job.merchantID, window: job.window, statuses: [.paid])
        let opening = ResendOpening(
            accountID: 1, jobID: String(repeating: "b", count: 32), requester: requester)
        #expect(try await fixture.store.openResend(again, opening, now: fixture.clock.wall).resend != nil)
        try await expectSound(fixture)
    }

    @Test(
        "an attempt in flight at the cancel counts as skipped, whatever is answered; the log shows what was",
        arguments: [200, 500, 410])
    func inFlight(_ code: Int) async throws {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(3)
        try await fixture.advance()
        try await fixture.dispatch()
        let flying = fixture.transport.take()
        #expect(flying.count == 3)
        _ = try await cancel(job, fixture)
        try await sweep(fixture)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 3, "under way, not swept")
        for exchange in flying { exchange.answer(code) }
        try await fixture.dispatch()
        try await sweep(fixture)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 0)
        let after = try await details(job, fixture)
        #expect(after.outcome == ResendOutcome(delivered: 0, undelivered: 0, pending: 0, skipped: 3))
        #expect(
            try await fixture.store.number(
                """
                SELECT count(*) FROM attempts WHERE status_code = $1
                    AND delivery_id IN (SELECT delivery_id FROM settled WHERE resend_id IS NOT NULL)
                """,
                [.int(code)]) == 3)
        #expect(fixture.transport.count == 0)
        try await expectSound(fixture)
    }

    @Test func `a completed job with deliveries pending keeps its status; a job that ended is not canceled`()
        async throws
    {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(10)
        try await fixture.advance()
        #expect(try await details(job, fixture).resend.state == .completed)
        guard case .canceled(let canceled) = try await cancel(job, fixture) else {
            Issue.record("it was not canceled")
            return
        }
        #expect((canceled.state, canceled.reason) == (.completed, nil))
        #expect(try await details(job, fixture).ended == "canceled")
        #expect(try await cancel(job, fixture) == .alreadyEnded)
        #expect(
            try await fixture.engine.cancelResend(jobID: "nobody", accountID: 1, by: requester) == .notFound)
        #expect(
            try await fixture.engine.cancelResend(jobID: job.jobID, accountID: 2, by: requester) == .foreign)
    }

    @Test func `a job that can only wait says so`() async throws {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(5)
        let receiver = try #require(try await fixture.store.number("SELECT id FROM receivers"))
        _ = try await fixture.engine.pauseReceiver(id: receiver, accountID: nil, by: requester)
        try await fixture.advance()
        #expect(try await details(job, fixture).waitingOn == "receiver_paused")
        _ = try await fixture.engine.resumeReceiver(id: receiver, accountID: nil, by: requester)
        #expect(try await details(job, fixture).waitingOn == nil)
        _ = try await fixture.engine.pauseReceiver(id: receiver, accountID: nil, by: requester)
        _ = try await cancel(job, fixture)
        try await sweep(fixture)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 0, "behind a pause, too")
    }

    @Test func `a job of which something can go does not say that it can only wait`() async throws {
        let fixture = try await EngineFixture()
        for (prefix, count) in [("a", 1_100), ("b", 40)] {
            let ids = try await fixture.store.createPayouts(
                count, prefix: prefix, url: "https://\(prefix).example/hook", now: fixture.clock.wall)
            try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        }
        try await fixture.deliver { _ in 200 }
        let receiver = try #require(
            try await fixture.store.number("SELECT id FROM receivers WHERE origin = 'https://a.example:443'"))
        _ = try await fixture.engine.pauseReceiver(id: receiver, accountID: nil, by: requester)
        let job = try await fixture.dispatchJob()
        try await fixture.advance()
        #expect(try await details(job, fixture).waitingOn == nil)
        try await fixture.deliver { _ in 200 }
        #expect(try await details(job, fixture).outcome.pending == 1_100)
        #expect(try await details(job, fixture).waitingOn == "receiver_paused")
    }

    @Test func `what was claimed ahead does not begin after the cancel`() async throws {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(5)
        try await fixture.advance()
        try await fixture.dispatch()
        let claimed = fixture.transport.take()
        _ = try await cancel(job, fixture)
        #expect(claimed.count == ResendRamp.slotsAtFirst)
        #expect(claimed.allSatisfy { !$0.request.mayBegin() }, "a connection asks before it sends")
    }

    @Test func `neither cancel nor outcome looks at everything that a merchant has`() async throws {
        let planning = Mutex<PlanningEngine?>(nil)
        let fixture = try await EngineFixture(on: .sqlite) { base in
            let engine = PlanningEngine(base)
            planning.withLock { $0 = engine }
            return engine
        }
        let plans = try #require(planning.withLock { $0 })
        let job = try await fixture.job(5)
        let receiver = try #require(try await fixture.store.number("SELECT id FROM receivers"))
        _ = try await fixture.engine.pauseReceiver(id: receiver, accountID: nil, by: requester)
        try await fixture.advance()
        #expect(try await details(job, fixture).waitingOn == "receiver_paused")
        _ = try await cancel(job, fixture)
        try await sweep(fixture)
        #expect(plans.count > 20)
        #expect(plans.wholeMerchants == [])
    }

    @Test func `a claim that began before the cancel does not undo it`() {
        let gate = CancelGate()
        gate.add(7)
        gate.replace([])
        #expect(gate.contains(7), "no claim has seen it")
        gate.replace([7, 8])
        #expect(gate.contains(7) && gate.contains(8))
        gate.replace([8])
        #expect(!gate.contains(7), "swept")
        #expect(!gate.contains(nil))
    }
}
