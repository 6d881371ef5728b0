import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// Pace, canary and "only unacknowledged" of jobs (`docs/contract.md` 13.5, 13.6, 13.14).
struct PacedJobTests {
    private func expectSound(_ fixture: EngineFixture) async throws {
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine) == [])
    }

    private func state(_ job: Resend, _ fixture: EngineFixture) async throws -> Resend {
        try #require(try await fixture.store.resend(id: job.id))
    }

    private func outcome(_ job: Resend, _ fixture: EngineFixture) async throws -> ResendOutcome {
        try #require(try await fixture.store.resendOutcome(id: job.id))
    }

    /// Lets time pass in small steps, runner and dispatcher at work, and returns when each attempt began.
    private func run(
        _ fixture: EngineFixture, for duration: Duration, answer: (ScriptedTransport.Exchange) -> Int = { _ in 200 }
    ) async throws -> [Timestamp] {
        var attempts: [Timestamp] = []
        let end = fixture.clock.engine + duration
        while fixture.clock.engine < end {
            try await fixture.advance()
            try await fixture.dispatch()
            for exchange in fixture.transport.take() {
                attempts.append(fixture.clock.engine)
                exchange.answer(answer(exchange))
            }
            fixture.clock.advance(by: .milliseconds(10))
        }
        return attempts
    }

    private func expectPace(_ attempts: [Timestamp], _ perSecond: Int, _ fixture: EngineFixture, from start: Timestamp)
    {
        for second in 3..<8 {
            let from = start + .seconds(second)
            let count = attempts.count { $0 >= from && $0 < from + .seconds(10) }
            #expect(abs(count - perSecond * 10) <= perSecond / 2, "\(count) in the 10 s from second \(second)")
        }
    }

    @Test(arguments: [20, 50])
    func `a paced job begins as many attempts a second as was asked`(perSecond: Int) async throws {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(perSecond * 20, ResendOptions(maxPerSecond: Int64(perSecond)))
        let start = fixture.clock.engine
        let attempts = try await run(fixture, for: .seconds(21))
        #expect(attempts.count == perSecond * 20)
        expectPace(attempts, perSecond, fixture, from: start)
        #expect(try await state(job, fixture).state == .completed)
        try await expectSound(fixture)
    }

    @Test func `retries count, and what a pause held back does not burst out`() async throws {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(1_000, ResendOptions(maxPerSecond: 20))
        var answered = 0
        // Every other first attempt fails, so that no breaker opens.
        _ = try await run(fixture, for: .seconds(4)) { exchange in
            answered += 1
            return exchange.header("x-webhook-attempt") == "1" && answered.isMultiple(of: 2) ? 500 : 200
        }
        #expect(try await outcome(job, fixture).pending > 0)
        let receiver = try #require(try await fixture.store.number("SELECT id FROM receivers WHERE merchant_id = 303"))
        let by = EngineFixture.requester
        _ = try await fixture.engine.pauseReceiver(id: receiver, accountID: nil, by: by)
        #expect(try await run(fixture, for: .seconds(20)).isEmpty)
        _ = try await fixture.engine.resumeReceiver(id: receiver, accountID: nil, by: by)
        let start = fixture.clock.engine
        let attempts = try await run(fixture, for: .seconds(18))
        expectPace(attempts, 20, fixture, from: start)
        #expect(attempts.count { $0 < start + .seconds(1) } <= 30)
        try await expectSound(fixture)
    }

    @Test func `a job without a pace is not held up behind a paced one at the same receiver`() async throws {
        let fixture = try await EngineFixture()
        let paced = try await fixture.job(300, ResendOptions(maxPerSecond: 1))
        let quick = try await fixture.dispatchJob(named: "b", startingBefore: 3_599)
        #expect(quick.total == paced.total)
        _ = try await run(fixture, for: .seconds(3))
        #expect(try await outcome(quick, fixture).delivered == 300)
        #expect(try await outcome(paced, fixture).delivered <= 4)
        try await expectSound(fixture)
    }

    @Test func `a receiver that is slower than its share keeps no slots from the others`() async throws {
        let fixture = try await EngineFixture()
        for (prefix, count, url) in [
            ("slow", 150, "https://slow.example/a"), ("quick", 450, "https://quick.example/b"),
        ] {
            let ids = try await fixture.store.createPayouts(count, prefix: prefix, url: url, now: fixture.clock.wall)
            try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        }
        try await fixture.deliver { _ in 200 }
        _ = try await fixture.dispatchJob(ResendOptions(maxPerSecond: 40))
        var held: [ScriptedTransport.Exchange] = []
        var quick = 0
        for step in 0..<1_400 {
            try await fixture.advance()
            try await fixture.dispatch()
            for exchange in fixture.transport.take() {
                if exchange.request.url.origin.contains("slow") {
                    held.append(exchange)
                } else {
                    quick += 1
                    exchange.answer(200)
                }
            }
            // One of them is answered each second.
            if step.isMultiple(of: 100), !held.isEmpty { held.removeFirst().answer(200) }
            fixture.clock.advance(by: .milliseconds(10))
        }
        #expect(quick >= 14 * 30 * 8 / 10, "its share of 14 s is 420")
    }

    @Test func `what a killed node had begun takes slots of its own when its leases end`() async throws {
        let fixture = try await EngineFixture()
        _ = try await fixture.job(900, ResendOptions(maxPerSecond: 20))
        // Nothing is answered, as if the node were gone.
        for _ in 0..<100 {
            try await fixture.advance()
            try await fixture.dispatch()
            _ = fixture.transport.take()
            fixture.clock.advance(by: .milliseconds(10))
        }
        let lost = try #require(
            try await fixture.store.number("SELECT count(*) FROM deliveries WHERE claim_token IS NOT NULL"))
        #expect(lost > 0)
        let other = EngineFixture(after: fixture)
        let start = fixture.clock.engine
        let attempts = try await run(other, for: .seconds(40))
        for second in 20..<30 {
            let from = start + .seconds(second)
            #expect(attempts.count { $0 >= from && $0 < from + .seconds(10) } <= 210)
        }
    }

    @Test func `a canary larger than the backlog is decided all the same`() async throws {
        let fixture = try await EngineFixture(backlogMax: 10)
        let job = try await fixture.job(60, ResendOptions(canary: 30))
        try await fixture.advance()
        #expect(try await state(job, fixture).queued == 30)
        try await fixture.deliver { _ in 410 }
        for _ in 0..<40 {
            fixture.clock.advance(by: .seconds(30))
            try await fixture.deliver { _ in 410 }
            try await fixture.advance()
        }
        #expect(try await state(job, fixture).reason == "Canary failed: 0 of 30 acknowledged.")
    }

    @Test func `the rest follows a canary that was acknowledged`() async throws {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(450, ResendOptions(canary: 20))
        try await fixture.advance()
        #expect(try await state(job, fixture).queued == 20)
        var answered = 0
        try await fixture.deliver { _ in
            answered += 1
            return answered == 7 ? 410 : 200
        }
        #expect(answered == 20, "nothing but the canary went")
        try await fixture.advance()
        let ended = try await state(job, fixture)
        #expect((ended.state, ended.queued) == (.completed, 450))
        try await expectSound(fixture)
    }

    @Test func `a canary that failed ends the job with its words, and frees the lock`() async throws {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(450, ResendOptions(canary: 20))
        try await fixture.advance()
        var answered = 0
        // One in three fails, so that no breaker opens; each of those fails again five seconds later.
        try await fixture.deliver { exchange in
            answered += 1
            return answered.isMultiple(of: 3) || exchange.header("x-webhook-attempt") == "2" ? 500 : 200
        }
        try await fixture.advance()
        #expect(try await state(job, fixture).state == .processing, "six have failed only once")
        fixture.clock.advance(by: .seconds(7))
        try await fixture.deliver { _ in 500 }
        try await fixture.advance()
        let ended = try await state(job, fixture)
        #expect((ended.state, ended.queued, ended.failed) == (.failed, 20, 0))
        #expect(ended.reason == "Canary failed: 14 of 20 acknowledged.")
        #expect(try await outcome(job, fixture).pending == 6, "what was sent goes on")
        #expect(try await fixture.dispatchJob(named: "b").total == 450)
        try await expectSound(fixture)
    }

    @Test func `a job smaller than its canary is done when that is acknowledged`() async throws {
        let fixture = try await EngineFixture()
        let job = try await fixture.job(5, ResendOptions(canary: 20))
        try await fixture.advance()
        let before = try await state(job, fixture)
        #expect((before.state, before.queued) == (.processing, 5))
        try await fixture.deliver { _ in 200 }
        try await fixture.advance()
        #expect(try await state(job, fixture).state == .completed)
    }

    @Test func `an undecided canary holds up no other job`() async throws {
        let fixture = try await EngineFixture()
        let waiting = try await fixture.job(450, ResendOptions(canary: 20))
        try await fixture.advance()
        let other = try await fixture.dispatchJob(named: "b", startingBefore: 3_599)
        try await fixture.advance()
        #expect(try await state(other, fixture).state == .completed)
        #expect(try await state(waiting, fixture).queued == 20)
    }

    @Test func `only what was missed at dispatch is matched, and looked at again before it is sent`() async throws {
        let fixture = try await EngineFixture(schedule: try #require(RetrySchedule("0s,1h,1h")))
        let ids = try await fixture.store.createPayouts(300, now: fixture.clock.wall)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        var answered = 0
        try await fixture.deliver { _ in
            answered += 1
            // Every third is missed; never ten in a row.
            return answered.isMultiple(of: 3) ? 500 : 200
        }
        let job = try await fixture.dispatchJob(ResendOptions(onlyUnacknowledged: true))
        #expect(job.total == 100)
        // A fourth of them is acknowledged while the job has not begun.
        fixture.clock.advance(by: .seconds(4_000))
        try await fixture.deliver { _ in
            answered += 1
            return answered.isMultiple(of: 4) ? 200 : 500
        }
        try await fixture.advance()
        let queued = try await state(job, fixture)
        #expect((queued.state, queued.queued) == (.completed, 100), "the set is frozen")
        try await fixture.deliver { _ in 200 }
        #expect(
            try await outcome(job, fixture) == ResendOutcome(delivered: 75, undelivered: 0, pending: 0, skipped: 25))
        #expect(
            try await fixture.store.number(
                "SELECT count(*) FROM settled WHERE resend_id = $1 AND reason = 'acknowledged_elsewhere'",
                [.int(job.id)]) == 25)
        try await expectSound(fixture)
    }

    @Test func `neither counting, explaining nor walking looks at everything that a merchant has`() async throws {
        let planning = Mutex<PlanningEngine?>(nil)
        let fixture = try await EngineFixture(on: .sqlite) { base in
            let engine = PlanningEngine(base)
            planning.withLock { $0 = engine }
            return engine
        }
        let plans = try #require(planning.withLock { $0 })
        let options = ResendOptions(onlyUnacknowledged: true, maxPerSecond: 1_000, canary: 2)
        _ = try await fixture.job(5)
        let second = fixture.clock.wall.seconds
        for isOnly in [false, true] {
            let request = ResendRequest(
                merchantID: 303, window: ResendWindow(startSeconds: second - 90, endSeconds: second + 90),
                statuses: [.paid], dryRun: true, options: ResendOptions(onlyUnacknowledged: isOnly))
            _ = try await fixture.store.countMatching(request)
            _ = try await fixture.store.explain(request, fixture.engine.explainRules)
        }
        let more = try await fixture.store.createPayouts(9, prefix: "more", now: fixture.clock.wall)
        try await fixture.store.report(.paid, more, at: fixture.clock.wall, due: fixture.clock.engine + .seconds(99))
        _ = try await fixture.dispatchJob(options, named: "b", startingBefore: 3_599)
        _ = try await run(fixture, for: .seconds(1))
        #expect(plans.count > 30)
        #expect(plans.wholeMerchants == [])
    }

    @Test func `a v3 range keeps its pace, too`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT")
        _ = try await fixture.paid(60)
        try await fixture.deliver { _ in 200 }
        _ = try await fixture.resend(.cashOut, maxPerSecond: 5)
        var sent = 0
        for _ in 0..<400 {
            _ = try await fixture.engine.runner.step(now: fixture.clock.now)
            _ = try await fixture.engine.dispatcher.step(now: fixture.clock.now)
            for exchange in fixture.base.transport.take() {
                sent += 1
                exchange.answer(200)
            }
            fixture.clock.advance(by: .milliseconds(10))
        }
        #expect((15...23).contains(sent), "\(sent) in 4 s at 5 a second")
    }
}
