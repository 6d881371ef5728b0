import Foundation
import Logging
import Metrics
import NIOPosix
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// What this machine lacks says nothing of a receiver: it is no attempt (`docs/contract.md` 3.4).
@Suite(.timeLimit(.minutes(5)))
struct ShortageTests {
    private let ok: WireResult = .answered(WireAnswer(statusCode: 200, body: Array("ok".utf8)))

    @Test func `beyond the connections that the process can bear nothing is dialed`() async throws {
        let latch = Latch()
        let book = LogBook()
        let counted = Tally()
        let counter = Counter(
            label: "short", dimensions: [], handler: counted, factory: NOOPMetricsHandler.instance)
        let shortages = ShortageLog(counters: [.descriptors: counter], logger: book.logger)
        var limits = WireFixture.limits
        limits.connections = 1
        let receiver = try await RudeReceiver.start { _ in [.wait(latch), .send(WireFixture.ok)] }
        let wire = try WireFixture(limits: limits, shortages: shortages)
        let url = "http://127.0.0.1:\(receiver.port)/"
        try wire.post(1, to: url)
        try await receiver.log.wait(for: "the first is there") { $0.requests.count == 1 }
        for id in 2...4 {
            try wire.post(id, to: url, merchant: Int64(id))
            #expect(try await wire.result(of: id) == .shortage(.descriptors))
        }
        latch.open()
        #expect(try await wire.result(of: 1) == ok)
        #expect(counted.value == 3)
        #expect(receiver.log.value.accepted == 1)
        await wire.end(expecting: 4)
        try await receiver.stop()
    }

    @Test func `it is said once a minute, with a count`() throws {
        let book = LogBook()
        let log = ShortageLog(counters: [:], logger: book.logger)
        let start = ContinuousClock.now
        log.say(now: start)
        #expect(book.lines.isEmpty)
        for _ in 1...5 { log.note(.descriptors) }
        log.note(.ports)
        log.say(now: start)
        #expect(book.lines.map { $0.fields["count"] } == ["6"])
        #expect(book.lines.map { $0.fields["short_of"] } == ["descriptors,ports"])
        log.note(.memory)
        log.say(now: start + .seconds(59))
        #expect(book.lines.count == 1)
        log.note(.threads)
        log.say(now: start + .seconds(60))
        #expect(book.lines.last?.fields["count"] == "2")
        #expect(book.lines.last?.fields["short_of"] == "memory,threads")
        log.say(now: start + .seconds(600))
        #expect(book.lines.count == 2)
        #expect(book.lines.allSatisfy { $0.level == .warning })
    }

    @Test func `without a thread for its name an attempt is put off, and the next one finds it`() async throws {
        let hasThreads = Atomic(false)
        let receiver = try await RudeReceiver.start { _ in [.send(WireFixture.ok)] }
        let wire = try WireFixture(startThread: { body in
            guard hasThreads.load(ordering: .relaxed) else { return false }
            Thread.detachNewThread(body)
            return true
        })
        let url = "http://name.example:\(receiver.port)/"
        for id in 1...40 { try wire.post(id, to: url, merchant: Int64(id)) }
        for id in 1...40 { #expect(try await wire.result(of: id) == .shortage(.threads)) }
        hasThreads.store(true, ordering: .relaxed)
        try wire.post(41, to: url)
        #expect(try await wire.result(of: 41) == ok)
        await wire.end(expecting: 41)
        try await receiver.stop()
    }

    @Test func `a lookup that lacked something is not remembered`() async throws {
        let asked = Mutex(0)
        let receiver = try await RudeReceiver.start { _ in [.send(WireFixture.ok)] }
        let wire = try WireFixture { _ in
            let count = asked.withLock { asked in
                asked += 1
                return asked
            }
            if count == 1 { throw SenderShortage.descriptors }
            if count == 2 { throw SenderShortage.memory }
            return [try #require(IPAddress("127.0.0.1"))]
        }
        #expect(try await wire.exchange(with: receiver, host: "name.example") == .shortage(.descriptors))
        #expect(try await wire.exchange(with: receiver, host: "name.example") == .shortage(.memory))
        #expect(try await wire.exchange(with: receiver, host: "name.example") == ok)
        await wire.end(expecting: 3)
        try await receiver.stop()
    }

    @Test func `a process with few descriptors takes few connections and keeps fewer`() {
        let small = WireLimits(openFiles: 256)
        #expect(small.connections == 160)
        #expect(small.idleConnections == 40)
        let usual = WireLimits(openFiles: 1_024)
        #expect(usual.connections == 768)
        #expect(usual.idleConnections == 192)
        let large = WireLimits(openFiles: 1_048_576)
        #expect(large.connections > 100_000)
        #expect(large.idleConnections == 1_024)
        #expect(WireLimits(openFiles: 0).connections == 1)
        #expect(WireLimits(openFiles: .max).idleConnections == 1_024)
    }

    /// The claim is given back: no row, no number, no sign against the receiver; soon it is due again, and goes out.
    @Test(arguments: TestEngine.allCases)
    func `a shortage spends no attempt`(kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        let ids = try await fixture.store.createPayouts(3)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        for shortage in SenderShortage.allCases {
            try await fixture.dispatch()
            let exchanges = fixture.transport.take()
            #expect(exchanges.count == 3)
            #expect(exchanges.allSatisfy { $0.header("x-webhook-attempt") == "1" })
            for exchange in exchanges { exchange.end(.shortage(shortage)) }
            try await fixture.dispatch()
            #expect(fixture.transport.count == 0, "not at once")
            #expect(try await fixture.store.number("SELECT count(*) FROM attempts") == 0)
            #expect(try await fixture.store.number("SELECT sum(attempts) FROM deliveries") == 0)
            fixture.clock.advance(by: .milliseconds(740))
            try await fixture.dispatch()
            #expect(fixture.transport.count == 0, "nor much sooner than in a second")
            fixture.clock.advance(by: .milliseconds(520))
        }
        try await fixture.dispatch()
        for exchange in fixture.transport.take() { exchange.answer(200) }
        try await fixture.dispatch()
        #expect(try await fixture.store.number("SELECT count(*) FROM attempts WHERE number = 1") == 3)
        #expect(try await fixture.store.number("SELECT count(*) FROM receivers WHERE broken_at IS NOT NULL") == 0)
    }
}
