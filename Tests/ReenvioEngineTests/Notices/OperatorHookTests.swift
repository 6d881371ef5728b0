import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// What the operator is told, from the commit that causes it to the 200 (`docs/operations.md`).
struct OperatorHookTests {
    private static let url = "https://ops.example/notices"

    private func fixture(_ schedule: RetrySchedule = .standard) async throws -> EngineFixture {
        try await EngineFixture(
            schedule: schedule,
            telling: OperatorHook.Target(
                url: try ReceiverURL(parsing: Self.url, policy: AddressPolicy()), secret: try Fixtures.signingSecret))
    }

    /// The notices that go out now.
    private func told(_ fixture: EngineFixture) async throws -> [ScriptedTransport.Exchange] {
        for _ in 0..<20 {
            _ = try await fixture.engine.operatorHook.step(now: fixture.clock.now)
            fixture.clock.advance(by: .milliseconds(250))
        }
        return fixture.transport.take()
    }

    /// Jobs that match nothing end at once.
    private func end(_ count: Int, _ fixture: EngineFixture) async throws {
        for number in 0..<count {
            let name = try #require("abcdefghijklmnopqrstuvwxyz".dropFirst(number).first)
            _ = try await fixture.dispatchJob(named: name, startingBefore: 3_600 + Int64(number))
        }
    }

    @Test func `a notice is signed, tried again by the schedule, and gone with its 200`() async throws {
        let fixture = try await fixture()
        try await end(1, fixture)
        let first = try #require(try await told(fixture).first)
        #expect(first.request.url.text == Self.url)
        #expect(first.header("webhook-signature").hasPrefix("v1,"))
        #expect(first.header("x-webhook-attempt") == "1")
        first.answer(204)
        #expect(try await told(fixture).isEmpty, "five seconds have not gone by")
        fixture.clock.advance(by: .seconds(1))
        let second = try #require(try await told(fixture).first)
        #expect(second.header("webhook-id") == first.header("webhook-id"))
        #expect(second.request.body == first.request.body)
        #expect(second.header("x-webhook-attempt") == "2")
        second.answer(200)
        #expect(try await told(fixture).isEmpty)
        #expect(try await fixture.store.nextNoticeDue() == nil)
    }

    @Test func `after a crash another node tells it under the same name, with the next number`() async throws {
        let gone = try await fixture()
        try await end(1, gone)
        let lost = try #require(try await told(gone).first)
        let next = EngineFixture(after: gone)
        #expect(try await told(next).isEmpty, "it is leased")
        next.clock.advance(by: .seconds(30))
        let again = try #require(try await told(next).first)
        #expect(again.header("webhook-id") == lost.header("webhook-id"))
        #expect(again.header("x-webhook-attempt") == "2")
        again.answer(200)
        #expect(try await told(next).isEmpty)
        #expect(try await next.store.nextNoticeDue() == nil)
    }

    @Test func `eight at once; the others follow as they are answered`() async throws {
        let fixture = try await fixture()
        try await end(10, fixture)
        let first = try await told(fixture)
        #expect(first.count == 8)
        for exchange in first.dropFirst() { exchange.answer(200) }
        #expect(try await told(fixture).count == 2)
    }

    @Test func `what the schedule gives up is gone`() async throws {
        let fixture = try await fixture(RetrySchedule(waits: [.zero, .zero]))
        try await end(1, fixture)
        for _ in 0..<2 {
            let exchange = try #require(try await told(fixture).first)
            exchange.end(.failed(.timedOut))
        }
        #expect(try await told(fixture).isEmpty)
        #expect(try await fixture.store.nextNoticeDue() == nil)
    }

    @Test func `what could not begin is no attempt, and results of the last moment are written`() async throws {
        let fixture = try await fixture()
        try await end(2, fixture)
        let exchanges = try await told(fixture)
        exchanges[0].end(.notStarted)
        exchanges[1].answer(200)
        await fixture.engine.operatorHook.finish()
        #expect(try await fixture.store.rows("SELECT attempts FROM notices", columns: 1) == [[0]])
    }

    @Test func `a failed commit is made again with the same results`() async throws {
        let faults = Faults()
        let fixture = try await EngineFixture(
            telling: OperatorHook.Target(
                url: try ReceiverURL(parsing: Self.url, policy: AddressPolicy()), secret: try Fixtures.signingSecret),
            wrapping: faults.wrap)
        try await end(1, fixture)
        let exchange = try #require(try await told(fixture).first)
        exchange.answer(200)
        let faulty = try #require(faults.engine)
        faulty.fail(atStatement: 1)
        await #expect(throws: FaultyEngine.failure) {
            try await fixture.engine.operatorHook.step(now: fixture.clock.now)
        }
        faulty.disarm()
        _ = try await fixture.engine.operatorHook.step(now: fixture.clock.now)
        #expect(try await fixture.store.nextNoticeDue() == nil)
    }

    @Test func `an exhausted delivery and a broken receiver are told, whoever recorded them`() async throws {
        let fixture = try await fixture(RetrySchedule(waits: [.zero]))
        let ids = try await fixture.store.createPayouts(12)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall)
        try await fixture.deliver { $0.request.url.text == Self.url ? nil : 500 }
        let bodies = try await told(fixture).map { String(decoding: $0.request.body, as: UTF8.self) }
        #expect(bodies.contains { $0.contains(#""type":"receiver.broken""#) })
        #expect(bodies.contains { $0.contains(#""type":"delivery.exhausted""#) })
    }

    @Test func `a store without anybody to tell is not even looked at`() async throws {
        let fixture = try await EngineFixture()
        try await end(1, fixture)
        #expect(try await told(fixture).isEmpty)
        #expect(try await fixture.store.number("SELECT count(*) FROM notices") == 0)
    }
}
