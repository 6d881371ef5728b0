import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The trace of a request goes on in the webhooks that follow from it, whichever node sends them
/// (`docs/contract.md` 3.2).
struct TraceTests {
    private static let reported = TraceParent(
        traceID: String(repeating: "4b", count: 16), spanID: String(repeating: "1", count: 16), isSampled: true)
    private static let asked = TraceParent(
        traceID: String(repeating: "5c", count: 16), spanID: String(repeating: "2", count: 16), isSampled: false)

    private func traceIDs(_ exchanges: [ScriptedTransport.Exchange]) -> Set<String> {
        Set(exchanges.compactMap { TraceParent($0.header("traceparent"))?.traceID })
    }

    private func sent(_ fixture: EngineFixture) async throws -> [ScriptedTransport.Exchange] {
        try await fixture.dispatch()
        return fixture.transport.take()
    }

    /// Reports through the intake, within a request.
    private func report(_ ids: [Int64], _ trace: TraceParent?, _ fixture: EngineFixture) async throws {
        let changes = ids.map { StatusChangeRequest(payoutID: $0, status: .paid) }
        let intake = fixture.engine.intake
        try await Traces.$current.withValue(trace) {
            async let result = intake.submit(IntakeBatch(changes: changes))
            while try await intake.step(now: fixture.clock.now) != .again { await Task.yield() }
            _ = try await result
        }
    }

    @Test func `a change told by v2 and by v3 is sent in it, at each attempt, by whatever node`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT")
        let ids = try await fixture.store.createPayouts(1, merchantID: LogFixture.mirrorID, now: fixture.clock.wall)
        try await report(ids, Self.reported, fixture.base)
        let first = try await sent(fixture.base)
        #expect(first.count == 2)
        #expect(traceIDs(first) == [Self.reported.traceID])
        #expect(first.allSatisfy { $0.header("traceparent").hasSuffix("-01") })
        #expect(Set(first.map { $0.header("traceparent") }).count == 2, "each attempt is a step of its own")
        fixture.clock.advance(by: .seconds(31))
        let again = try await sent(EngineFixture(after: fixture.base))
        #expect(again.count == 2)
        #expect(traceIDs(again) == [Self.reported.traceID])
    }

    @Test func `without one each attempt begins its own, and nothing is stored`() async throws {
        let fixture = try await EngineFixture()
        try await report(try await fixture.store.createPayouts(3, now: fixture.clock.wall), nil, fixture)
        let exchanges = try await sent(fixture)
        #expect(traceIDs(exchanges) == Set(exchanges.map { $0.header("x-webhook-attempt-id") }))
        #expect(try await fixture.store.number("SELECT count(*) FROM notifications WHERE trace IS NOT NULL") == 0)
    }

    @Test func `a resend has the trace of who asked for it, not of who reported the change`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT")
        let ids = try await fixture.store.createPayouts(1, merchantID: LogFixture.mirrorID, now: fixture.clock.wall)
        try await report(ids, Self.reported, fixture.base)
        try await fixture.deliver { _ in 200 }
        let log = ResendLogRequest(category: .cashOut, objectID: ids[0], range: nil, maxPerSecond: nil)
        let requester = Requester(actor: "test")
        for trace in [Self.asked, nil] {
            let one = OneResend(
                payoutID: ids[0], accountID: nil, publicID: "one-\(trace == nil)", requester: requester, trace: trace)
            guard case .enqueued = try await fixture.engine.resendOne(one),
                case .opened = try await fixture.engine.openLog(
                    log, LogOpening(user: fixture.user, requester: requester, trace: trace))
            else { throw Fixtures.Missing() }
            try await fixture.advance()
            let exchanges = try await sent(fixture.base)
            #expect(exchanges.count == 2)
            let own = Set(exchanges.map { $0.header("x-webhook-attempt-id") })
            #expect(traceIDs(exchanges) == trace.map { [$0.traceID] } ?? own)
            for exchange in exchanges { exchange.answer(200) }
        }
    }

    @Test func `what is reported to v3 alone has it as well`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHIN")
        try await Traces.$current.withValue(Self.reported) { _ = try await fixture.qrCode() }
        #expect(traceIDs(try await sent(fixture.base)) == [Self.reported.traceID])
    }
}
