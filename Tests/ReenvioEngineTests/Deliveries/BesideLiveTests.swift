import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Live changes do not wait for resends (`docs/architecture.md`, rule 5).
struct BesideLiveTests {
    /// A live change through the intake, as the API does it.
    private static func change(_ id: Int64, _ fixture: EngineFixture) async throws {
        fixture.engine.intake.enqueue(IntakeBatch(changes: [StatusChangeRequest(payoutID: id, status: .paid)])) { _ in }
        #expect(try await fixture.engine.intake.step(now: fixture.clock.now) == .again)
    }

    /// Everything that is stored as paid is to be sent again.
    private static func resend(_ fixture: EngineFixture) async throws {
        let now = fixture.clock.wall
        let window = ResendWindow(startSeconds: now.seconds - 60, endSeconds: now.seconds + 60)
        let request = ResendRequest(merchantID: Fixtures.merchantID, window: window, statuses: [.paid])
        let opening = ResendOpening(accountID: 1, jobID: "a", requester: Requester(actor: "key:test"))
        _ = try #require(try await fixture.store.openResend(request, opening, now: now).resend)
    }

    /// So many acknowledged payouts, of a receiver that bears much.
    private static func acknowledged(_ count: Int, _ fixture: EngineFixture) async throws {
        let ids = try await fixture.store.createPayouts(count)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall)
        for _ in 0..<100 {
            try await fixture.dispatch()
            let exchanges = fixture.transport.take()
            if exchanges.isEmpty { break }
            exchanges.forEach { $0.answer(200) }
        }
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 0)
    }

    @Test("a live change is claimed at once, however few outcomes wait to be written")
    func claimedAtOnce() async throws {
        let fixture = try await EngineFixture()
        let ids = try await fixture.store.createPayouts(7)
        try await fixture.store.report(.paid, Array(ids.prefix(6)), at: fixture.clock.wall)
        try await fixture.dispatch()
        fixture.transport.take()[0].answer(200)
        #expect(try await fixture.engine.dispatcher.step(now: fixture.clock.now) != .again, "one of six may wait")
        try await Self.change(ids[6], fixture)
        #expect(try await fixture.engine.dispatcher.step(now: fixture.clock.now) == .again)
        #expect(fixture.transport.take().count == 1)
    }

    @Test("beside live changes resends begin a few at a time, and all of them when those have ended")
    func pace() async throws {
        let fixture = try await EngineFixture()
        try await Self.acknowledged(60, fixture)
        try await fixture.warmUp(60)
        try await Self.resend(fixture)
        while case .again = try await fixture.engine.runner.step(now: fixture.clock.now) {}
        let live = try await fixture.store.createPayouts(1, prefix: "live")
        try await Self.change(live[0], fixture)
        try await fixture.dispatch()
        #expect(fixture.transport.take().count == 1 + ResendPace.atOnce)
        guard case .wait(let rest) = try await fixture.engine.dispatcher.step(now: fixture.clock.now) else {
            Issue.record("nothing is left to do for a moment")
            return
        }
        #expect(rest <= .milliseconds(3), "it does not wait for the queue's time, which was put off")
        fixture.clock.advance(by: rest)
        try await fixture.dispatch()
        #expect((1...ResendPace.atOnce).contains(fixture.transport.take().count))
        fixture.clock.advance(by: .milliseconds(200))
        try await fixture.dispatch()
        #expect(fixture.transport.take().count > 2 * ResendPace.atOnce)
    }

    @Test("beside live changes a moment passes from chunk to chunk")
    func chunks() async throws {
        let fixture = try await EngineFixture()
        try await Self.acknowledged(500, fixture)
        let live = try await fixture.store.createPayouts(1, prefix: "live")
        try await Self.resend(fixture)
        #expect(try await fixture.engine.runner.step(now: fixture.clock.now) == .again)
        try await Self.change(live[0], fixture)
        #expect(try await fixture.engine.runner.step(now: fixture.clock.now) == .wait(.milliseconds(80)))
        #expect(try await fixture.store.resend(jobID: "a")?.queued == 400)
        fixture.clock.advance(by: .milliseconds(100))
        #expect(try await fixture.engine.runner.step(now: fixture.clock.now) == .again)
    }
}
