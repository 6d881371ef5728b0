import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Cancel of v3 logs (`docs/contract.md` 13.18): one commit, after which nothing begins and nothing is counted twice.
struct LogCancelTests {
    private let requester = Requester(actor: "test")

    private func details(_ log: ResendLog, _ fixture: LogFixture) async throws -> ResendLogDetails {
        let details = try #require(try await fixture.store.logDetails(id: log.id))
        let outcome = details.outcome
        #expect(outcome.delivered + outcome.undelivered + outcome.pending + outcome.skipped == details.queued)
        #expect(outcome.pending >= 0)
        return details
    }

    private func cancel(_ log: ResendLog, _ fixture: LogFixture) async throws -> LogCanceled {
        try await fixture.engine.cancelLog(id: log.id, by: requester)
    }

    private func sweep(_ fixture: LogFixture) async throws {
        while try await fixture.store.sweepCanceled(now: fixture.clock.wall, engineNow: fixture.clock.engine).ended > 0
        {}
    }

    /// A range over acknowledged events, not begun.
    private func log(_ count: Int, _ fixture: LogFixture) async throws -> ResendLog {
        _ = try await fixture.register("CASHOUT")
        _ = try await fixture.paid(count)
        try await fixture.deliver { _ in 200 }
        return try await fixture.resend(.cashOut)
    }

    private func expectCanceled(_ log: ResendLog, skipped: Int64, _ fixture: LogFixture) async throws {
        let after = try await details(log, fixture)
        #expect((after.log.status, after.log.errorMessage) == (.failed, "Canceled."))
        #expect(after.log.processedAt == after.log.updatedAt)
        #expect((after.phase, after.ended, after.isOver) == (.canceled, "canceled", true))
        #expect(after.outcome.skipped == skipped)
        try await sweep(fixture)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 0)
        #expect(try await details(log, fixture).outcome == after.outcome)
        #expect(try await fixture.log(log.id) == after.log, "it ends once")
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine) == [])
    }

    @Test("before it begins, between two chunks and while it waits for outcomes", arguments: TestEngine.allCases)
    func atAnyTime(_ kind: TestEngine) async throws {
        let fixture = try await LogFixture(on: kind)
        let early = try await log(250, fixture)
        guard case .canceled(let canceled) = try await cancel(early, fixture) else {
            Issue.record("it was not canceled")
            return
        }
        #expect(canceled.log.status == .failed)
        try await fixture.advance()
        try await expectCanceled(early, skipped: 0, fixture)

        let halfway = try await fixture.resend(.cashOut)
        _ = try await fixture.engine.runner.step(now: fixture.clock.now)
        _ = try await cancel(halfway, fixture)
        try await fixture.advance()
        try await fixture.base.dispatch()
        #expect(fixture.base.transport.count == 0, "nothing of it is sent")
        try await expectCanceled(halfway, skipped: 200, fixture)

        let waiting = try await fixture.resend(.cashOut)
        try await fixture.advance()
        _ = try await cancel(waiting, fixture)
        try await expectCanceled(waiting, skipped: 250, fixture)
        #expect(try await cancel(waiting, fixture) == .alreadyEnded)
    }

    @Test(
        "an attempt in flight counts as skipped, whatever is answered", arguments: TestEngine.allCases, [200, 500, 410])
    func inFlight(_ kind: TestEngine, _ code: Int) async throws {
        let fixture = try await LogFixture(on: kind)
        let log = try await log(3, fixture)
        try await fixture.advance()
        try await fixture.base.dispatch()
        let flying = fixture.base.transport.take()
        #expect(flying.count == 3)
        _ = try await cancel(log, fixture)
        try await sweep(fixture)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 3, "under way, not swept")
        for exchange in flying { exchange.answer(code) }
        try await fixture.base.dispatch()
        #expect(fixture.base.transport.count == 0)
        try await expectCanceled(log, skipped: 3, fixture)
    }

    @Test("what was delivered before stays delivered", arguments: TestEngine.allCases)
    func delivered(_ kind: TestEngine) async throws {
        let fixture = try await LogFixture(on: kind)
        let log = try await log(9, fixture)
        try await fixture.advance()
        var sent = 0
        try await fixture.deliver { _ in
            sent += 1
            return sent <= 4 ? 200 : 500
        }
        _ = try await cancel(log, fixture)
        #expect(
            try await details(log, fixture).outcome
                == ResendOutcome(
                    delivered: 4, undelivered: 0, pending: 0, skipped: 5))
        try await expectCanceled(log, skipped: 5, fixture)
    }

    @Test(
        "other ends that come later find it canceled: a deleted registration, an erasure, a day behind a breaker",
        arguments: TestEngine.allCases, ["registration", "erasure", "breaker"])
    func otherEnds(_ kind: TestEngine, _ end: String) async throws {
        let fixture = try await LogFixture(on: kind)
        let registration = try await fixture.register("CASHOUT")
        let ids = try await fixture.paid(5)
        try await fixture.deliver { _ in 200 }
        let log = try await fixture.resend(.cashOut)
        try await fixture.advance()
        _ = try await cancel(log, fixture)
        switch end {
        case "registration":
            _ = try await fixture.store.deleteRegistration(id: registration, by: requester, now: fixture.clock.wall)
            _ = try await fixture.store.moveRegistrations(now: fixture.clock.wall, engineNow: fixture.clock.engine)
        case "erasure":
            _ = try await fixture.store.eraseParties(payoutIDs: ids, by: requester, now: fixture.clock.wall)
        default:
            try await fixture.store.engine.write(.janitor) { db in
                _ = try db.run("UPDATE receivers SET broken_at = 1")
                _ = try db.run("UPDATE queues SET parked = 1")
            }
            fixture.clock.advance(by: .seconds(4 * 86_400))
            _ = try await fixture.store.expireBroken(now: fixture.clock.wall, engineNow: fixture.clock.engine)
            _ = try await fixture.store.expirePausedLogs(now: fixture.clock.wall)
        }
        try await expectCanceled(log, skipped: 5, fixture)
    }

    @Test("a log that ended is not canceled, nor one of another user or account", arguments: TestEngine.allCases)
    func refused(_ kind: TestEngine) async throws {
        let fixture = try await LogFixture(on: kind)
        let log = try await log(2, fixture)
        try await fixture.advance()
        #expect(try await fixture.engine.cancelLog(id: log.id, userID: 999, by: requester) == .notFound)
        #expect(try await fixture.engine.cancelLog(id: log.id, accountID: 999, by: requester) == .notFound)
        #expect(try await fixture.engine.cancelLog(id: 4_711, by: requester) == .notFound)
        try await fixture.deliver { _ in 200 }
        #expect(try await fixture.log(log.id).status == .completed)
        #expect(try await cancel(log, fixture) == .alreadyEnded)
        #expect(try await fixture.log(log.id).status == .completed)
        #expect(
            try await fixture.store.number("SELECT count(*) FROM audit WHERE action = 'resend.cancel'") == 0)
    }
}
