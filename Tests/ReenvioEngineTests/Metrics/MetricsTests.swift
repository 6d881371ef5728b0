import Metrics
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// What `GET /metrics` counts, in real steps of the engine (`docs/operations.md`).
struct MetricsTests {
    /// The value of each line of the page by its name and labels.
    private static func values(_ fixture: EngineFixture) async -> [String: Double] {
        // Beyond the time for which figures of the store are kept.
        fixture.clock.advance(by: .seconds(3))
        var values: [String: Double] = [:]
        for line in await fixture.engine.metrics.text().split(separator: "\n") where !line.hasPrefix("#") {
            let parts = line.split(separator: " ")
            values[String(parts[0])] = Double(parts[1])
        }
        return values
    }

    private static func paid(_ count: Int, _ fixture: EngineFixture, prefix: String = "inv") async throws {
        let ids = try await fixture.store.createPayouts(
            count, merchantID: Fixtures.merchantID, prefix: prefix, url: Fixtures.receiverURL)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
    }

    @Test func `every family is there from the start, with every value of its label`() async throws {
        let fixture = try await EngineFixture()
        let values = await Self.values(fixture)
        for family in MetricFamily.allCases {
            let name = family.rawValue
            for label in family.label?.values ?? [""] {
                let labels = family.label.map { "{\($0.name)=\"\(label)\"}" } ?? ""
                if case .histogram = family.kind {
                    #expect(values["\(name)_count\(labels)"] == 0, "\(name)\(labels)")
                } else {
                    #expect(values[name + labels] != nil, "\(name)\(labels)")
                }
            }
        }
        #expect(values.count < 400)
        #expect((values["process_resident_memory_bytes"] ?? 0) > 1_000_000)
        #expect((values["process_cpu_seconds_total"] ?? 0) > 0)
    }

    @Test func `attempts are counted by reason once they are recorded, and timed`() async throws {
        let fixture = try await EngineFixture()
        try await Self.paid(6, fixture)
        try await fixture.dispatch()
        let exchanges = fixture.transport.take()
        fixture.clock.advance(by: .seconds(2))
        for exchange in exchanges[..<3] { exchange.answer(200) }
        exchanges[3].answer(503)
        exchanges[4].end(.failed(.timedOut))
        exchanges[5].end(.notStarted)
        #expect(await Self.values(fixture)["reenvio_attempts_total{reason=\"ok\"}"] == 0)
        try await fixture.dispatch()
        fixture.transport.take().forEach { $0.answer(410) }
        try await fixture.dispatch()
        let values = await Self.values(fixture)
        let expected = ["ok": 3.0, "http_status": 1, "timed_out": 1, "gone": 1, "address_forbidden": 0]
        for (reason, count) in expected {
            #expect(values["reenvio_attempts_total{reason=\"\(reason)\"}"] == count, "\(reason)")
        }
        #expect(values["reenvio_attempt_seconds_count"] == 6)
        #expect(values["reenvio_attempt_seconds_bucket{le=\"0.005\"}"] == 6, "the script says 3 ms")
        #expect(values["reenvio_attempt_seconds_bucket{le=\"0.0025\"}"] == 0)
        #expect(values["reenvio_attempt_seconds_bucket{le=\"+Inf\"}"] == 6)
        #expect(values["reenvio_ack_seconds_count"] == 3)
        #expect(values["reenvio_ack_seconds_sum"] == 6, "two seconds each, by the wall clock")
        #expect(values["reenvio_possible_duplicates_total"] == 0)
    }

    @Test func `a resend's acknowledgement is no live one`() async throws {
        let fixture = try await EngineFixture()
        try await Self.paid(1, fixture)
        try await fixture.dispatch()
        fixture.transport.take().forEach { $0.answer(200) }
        try await fixture.dispatch()
        let request = OneResend(
            payoutID: 1, accountID: nil, publicID: String(repeating: "a", count: 32),
            requester: Requester(actor: "key:test"))
        _ = try await fixture.engine.resendOne(request)
        try await fixture.dispatch()
        #expect(await Self.values(fixture)["reenvio_resend_items{state=\"pending\"}"] == 1)
        fixture.transport.take().forEach { $0.answer(200) }
        try await fixture.dispatch()
        let values = await Self.values(fixture)
        #expect(values["reenvio_attempts_total{reason=\"ok\"}"] == 2)
        #expect(values["reenvio_ack_seconds_count"] == 1)
        #expect(values["reenvio_resend_items{state=\"pending\"}"] == 0)
        #expect(values["reenvio_resend_items{state=\"delivered\"}"] == 1)
    }

    /// The result of an attempt is lost: its delivery is claimed again, and the first result comes after that.
    @Test func `a claim without a result and a late result are possible duplicates`() async throws {
        let fixture = try await EngineFixture()
        try await Self.paid(4, fixture)
        try await fixture.dispatch()
        let first = fixture.transport.take()
        #expect(first.count == 4)
        #expect(await Self.values(fixture)["reenvio_possible_duplicates_total"] == 0)
        fixture.clock.advance(by: .seconds(31))
        try await fixture.dispatch()
        #expect(fixture.transport.count == 4)
        #expect(await Self.values(fixture)["reenvio_possible_duplicates_total"] == 4)
        first[0].answer(200)
        try await fixture.dispatch()
        #expect(fixture.engine.dispatcher.lateResults == 1)
        #expect(await Self.values(fixture)["reenvio_possible_duplicates_total"] == 5)
        fixture.transport.take().forEach { $0.answer(200) }
        try await fixture.dispatch()
        #expect(await Self.values(fixture)["reenvio_possible_duplicates_total"] == 5)
    }

    @Test func `a commit that failed counts nothing, and once when it is made`() async throws {
        let faults = Faults()
        let fixture = try await EngineFixture(wrapping: faults.wrap)
        try await Self.paid(3, fixture)
        try await fixture.dispatch()
        fixture.transport.take().forEach { $0.answer(200) }
        try #require(faults.engine).fail(atStatement: 2)
        await #expect(throws: (any Error).self) { try await fixture.dispatch() }
        #expect(await Self.values(fixture)["reenvio_attempts_total{reason=\"ok\"}"] == 0)
        try await fixture.dispatch()
        #expect(await Self.values(fixture)["reenvio_attempts_total{reason=\"ok\"}"] == 3)
    }

    @Test func `backlog and the oldest due delivery, by lane`() async throws {
        let fixture = try await EngineFixture()
        try await Self.paid(20, fixture)
        fixture.clock.advance(by: .seconds(7))
        var values = await Self.values(fixture)
        #expect(values["reenvio_backlog{lane=\"live\"}"] == 20)
        #expect(values["reenvio_backlog{lane=\"retry\"}"] == 0)
        #expect(values["reenvio_oldest_due_seconds{lane=\"live\"}"] == 10)
        #expect(values["reenvio_oldest_due_seconds{lane=\"resend\"}"] == 0)
        try await fixture.dispatch()
        // Sixteen are under way; what its receiver has no slot for is due all the same.
        #expect(await Self.values(fixture)["reenvio_oldest_due_seconds{lane=\"live\"}"] == 13)
        fixture.transport.take().forEach { $0.answer(500) }
        try await fixture.dispatch()
        values = await Self.values(fixture)
        #expect(values["reenvio_backlog{lane=\"live\"}"] == 4)
        #expect(values["reenvio_backlog{lane=\"retry\"}"] == 16)
        #expect(values["reenvio_oldest_due_seconds{lane=\"live\"}"] == 0, "its receiver is broken now, and parked")
    }

    @Test func `what the list does not have is not kept`() async throws {
        let registry = MetricsRegistry()
        let page = MetricsPage(registry, store: try await Fixtures.store(in: ScratchFolder()), clock: ManualClock())
        Counter(label: "another_total", factory: registry).increment()
        Counter(
            label: MetricFamily.attempts.rawValue, dimensions: [("reason", "ok"), ("merchant", "303")],
            factory: registry
        ).increment()
        Counter(label: MetricFamily.attempts.rawValue, dimensions: [("reason", "new")], factory: registry).increment()
        Meter(label: MetricFamily.changes.rawValue, factory: registry).set(9)
        // What the process says of itself may contain any number.
        let text =
            await page.text().split(separator: "\n").filter { !$0.hasPrefix("process_") }
            .joined(separator: "\n") + "\n"
        #expect(!text.contains("another") && !text.contains("303") && !text.contains("new\"") && !text.contains(" 9\n"))
    }

    @Test func `a store that cannot be read leaves the rest of the page`() async throws {
        let folder = try ScratchFolder()
        let store = try await Fixtures.store(in: folder)
        let page = MetricsPage(MetricsRegistry(), store: store, clock: ManualClock())
        #expect(await page.text().contains("reenvio_backlog{lane=\"live\"} 0\n"))
        try store.close()
        let later = ManualClock()
        later.advance(by: .seconds(60))
        let broken = await MetricsPage(MetricsRegistry(), store: store, clock: later).text()
        #expect(!broken.contains("reenvio_backlog{") && broken.contains("reenvio_changes_total 0\n"))
    }

    @Test func `calls of the store are timed by what they are`() async throws {
        let registry = MetricsRegistry()
        let fixture = try await EngineFixture(registry: registry, wrapping: { MeteredEngine($0, registry) })
        let before = await Self.values(fixture)
        try await Self.paid(1, fixture)
        try await fixture.dispatch()
        let values = await Self.values(fixture)
        for (operation, least) in [("intake", 2.0), ("claims", 1), ("read", 1)] {
            let name = "reenvio_store_seconds_count{operation=\"\(operation)\"}"
            #expect((values[name] ?? 0) - (before[name] ?? 0) >= least, "\(operation)")
        }
        #expect(values["reenvio_store_seconds_count{operation=\"bulk\"}"] == 0)
    }
}
