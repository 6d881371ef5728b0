import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Answers about messages, poison among good messages, and what probes an open breaker (`docs/contract.md` 3.4).
struct ProbeTests {
    @Test("a live delivery that arrives at an open breaker is the probe, once a second; the others wait")
    func arrivals() async throws {
        let fixture = try await EngineFixture()
        _ = try await ReceiverTests.breakIt(fixture)
        _ = try await ReceiverTests.paid(5, fixture, prefix: "more")
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0, "the breaker opened a moment ago")
        fixture.clock.advance(by: .seconds(1))
        try await fixture.dispatch()
        let first = fixture.transport.take()
        #expect(first.count == 1)
        let late = try await ReceiverTests.paid(1, fixture, prefix: "late")
        fixture.clock.advance(by: .milliseconds(990))
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0)
        fixture.clock.advance(by: .milliseconds(14))
        try await fixture.dispatch()
        let second = fixture.transport.take()
        #expect(second.compactMap { $0.request.payoutID } == late, "although the one before is under way")
        first.forEach { $0.end(.failed(.timedOut)) }
        second.forEach { $0.answer(200) }
        try await fixture.dispatch()
        fixture.transport.take().forEach { $0.answer(200) }
        try await fixture.dispatch()
        #expect(try await ReceiverTests.receiver(fixture).health != .broken, "two acknowledgements")
        fixture.clock.advance(by: .seconds(400))
        #expect(try await ReceiverTests.answerAll(fixture) { $0.answer(200) } > 0)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 0)
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }

    @Test("answers about messages open no breaker, however many; another URL of the host goes at once")
    func refusals() async throws {
        let codes = [409, 404, 422, 410, 301, 201, 204, 400, 403]
        let fixture = try await EngineFixture()
        _ = try await ReceiverTests.paid(300, fixture, url: "https://a.example/refuses", prefix: "bad")
        var next = 0
        let refused = try await ReceiverTests.answerAll(fixture) { exchange in
            exchange.answer(codes[next % codes.count])
            next += 1
        }
        #expect(refused == 300)
        #expect(try await ReceiverTests.receiver(fixture).health == .ok)
        let good = try await ReceiverTests.paid(20, fixture, url: "https://a.example/takes", prefix: "good")
        try await fixture.dispatch()
        #expect(fixture.transport.count == 16, "the slots of a new receiver")
        #expect(try await ReceiverTests.answerAll(fixture) { $0.answer(200) } == good.count)
    }

    @Test("an open breaker: a probe that is refused fails nothing and closes nothing; what follows goes at once")
    func refusedProbe() async throws {
        let fixture = try await EngineFixture()
        _ = try await ReceiverTests.breakIt(fixture)
        fixture.clock.advance(by: .seconds(6))
        #expect(try await ReceiverTests.answerAll(fixture) { $0.answer(409) } == 10, "one after the other")
        #expect(try await ReceiverTests.receiver(fixture).health == .broken)
        #expect(try await ReceiverTests.attempts(fixture) == 20)
        _ = try await ReceiverTests.paid(2, fixture, prefix: "good")
        fixture.clock.advance(by: .seconds(1))
        #expect(try await ReceiverTests.answerAll(fixture) { $0.answer(200) } == 2)
        #expect(try await ReceiverTests.receiver(fixture).health != .broken)
    }

    @Test("messages that a working receiver cannot digest stop nobody: their retries end on schedule")
    func poison() async throws {
        let fixture = try await EngineFixture(
            schedule: RetrySchedule(waits: [.zero, .seconds(1), .seconds(6)]))
        _ = try await ReceiverTests.paid(1_100, fixture, prefix: "good")
        _ = try await ReceiverTests.paid(100, fixture, url: "https://a.example/poison", prefix: "poison")
        let answer = { (exchange: ScriptedTransport.Exchange) in
            exchange.answer(exchange.request.url.text.hasSuffix("poison") ? 500 : 200)
        }
        #expect(try await ReceiverTests.answerAll(fixture, answer) == 1_200)
        fixture.clock.advance(by: .milliseconds(1_100))
        #expect(try await ReceiverTests.answerAll(fixture, answer) == 100)
        fixture.clock.advance(by: .milliseconds(6_600))
        #expect(try await ReceiverTests.answerAll(fixture, answer) == 100)
        #expect(try await fixture.store.number("SELECT count(*) FROM settled WHERE state = 'exhausted'") == 100)
        #expect(try await ReceiverTests.receiver(fixture).health != .broken)
    }

    @Test("what waits at another URL than the failed ones is probed a second after the breaker opened")
    func otherURL() async throws {
        let fixture = try await EngineFixture()
        _ = try await ReceiverTests.paid(16, fixture, url: "https://a.example/poison", prefix: "poison")
        try await fixture.dispatch()
        let good = try await ReceiverTests.paid(3, fixture, url: "https://a.example/takes", prefix: "good")
        fixture.transport.take().forEach { $0.answer(500) }
        try await fixture.dispatch()
        #expect(try await ReceiverTests.receiver(fixture).health == .broken)
        #expect(fixture.transport.count == 0)
        fixture.clock.advance(by: .seconds(1))
        try await fixture.dispatch()
        #expect(fixture.transport.requests.compactMap(\.payoutID) == Array(good.suffix(1)))
        #expect(try await ReceiverTests.answerAll(fixture) { $0.answer(200) } == 3)
        #expect(try await ReceiverTests.receiver(fixture).health != .broken)
    }
}

extension WireRequest {
    /// The payout of which its body speaks.
    fileprivate var payoutID: Int64? {
        guard case .object(let members) = try? JSONParser.parse(body), case .number(let id) = members["id"] else {
            return nil
        }
        return id.integer
    }
}
