import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// One row or page of merchant 304 that cannot be read or written stops nothing of merchant 303, and is set aside with
/// its reason.
struct DamageTests {
    /// Where the damage is: a part of the statement that meets it.
    enum Place: String, CaseIterable, Sendable {
        case attempts = "INSERT INTO attempts"
        case openDeliveries = "DELETE FROM deliveries"
        case settled = "INSERT INTO settled"
        case clocks = "FROM merchant_clocks"
        case counts = "INSERT INTO minute_counts"
        case leases = "UPDATE deliveries SET due_at = rows.lease"
        case queues = "UPDATE queues SET next_due"

        var kind: SetAside.Kind {
            switch self {
            case .attempts, .openDeliveries, .settled, .clocks, .counts: .outcome
            case .leases, .queues: .queue
            }
        }
    }

    private static let damaged: Int64 = 304

    private struct Stage {
        var fixture: EngineFixture
        var faults: FaultyEngine
        var log: LogBook
        var told: TellTale
    }

    /// Which payouts' webhooks arrived, and how often.
    final class TellTale: Sendable {
        let invoices = HeardBodies()
    }

    private func stage(_ kind: TestEngine) async throws -> Stage {
        let faults = Faults()
        let log = LogBook()
        let told = TellTale()
        let transport = ScriptedTransport { exchange in
            told.invoices.add(String(decoding: exchange.request.body, as: UTF8.self))
            return .answered(WireAnswer(statusCode: 200, retryAfter: nil))
        }
        let fixture = try await EngineFixture(on: kind, transport: transport, logger: log.logger, wrapping: faults.wrap)
        return Stage(fixture: fixture, faults: try #require(faults.engine), log: log, told: told)
    }

    private func pay(_ stage: Stage, _ count: Int, tag: String, dueIn wait: Duration = .zero) async throws {
        for merchant in [303, Self.damaged] {
            let ids = try await stage.fixture.store.createPayouts(
                count, merchantID: merchant, prefix: "\(tag)-\(merchant)", url: "https://\(merchant).example/hook")
            try await stage.fixture.store.report(.paid, ids, due: stage.fixture.clock.engine + wait)
        }
    }

    /// Steps as the loops would: what fails is tried again.
    private func work(_ stage: Stage, failuresMax: Int = 3) async throws {
        var failures = 0
        for _ in 0..<200 {
            do {
                if case .wait = try await stage.fixture.engine.dispatcher.step(now: stage.fixture.clock.now) { break }
            } catch let error as StoreError {
                failures += 1
                try #require(failures <= failuresMax, "the loop goes on failing: \(error)")
            } catch is ProbeBroken {
                failures += 1
                try #require(failures <= failuresMax)
            }
            stage.fixture.clock.advance(by: .milliseconds(20))
        }
    }

    private func open(_ stage: Stage, _ merchant: Int64) async throws -> Int64 {
        try await stage.fixture.store.number(
            "SELECT count(*) FROM deliveries WHERE merchant_id = $1", [.int(merchant)]) ?? -1
    }

    @Test("the other merchant is told and its results are written", arguments: TestEngine.allCases, Place.allCases)
    func others(_ kind: TestEngine, _ place: Place) async throws {
        let stage = try await stage(kind)
        try await pay(stage, 20, tag: "a")
        try await pay(stage, 5, tag: "b", dueIn: .seconds(20))
        stage.faults.damage { sql, values in
            sql.contains(place.rawValue) && values.contains(.int(Self.damaged))
                && !sql.contains("until_at")
        }
        try await work(stage)
        #expect(try await open(stage, 303) == 5, "those of later")
        #expect(
            try await stage.fixture.store.number("SELECT count(*) FROM settled WHERE merchant_id = 303") == 20)
        #expect(stage.told.invoices.counts.allSatisfy { $0.value == 1 }, "nothing is sent twice")
        let aside = try await stage.fixture.store.setAsides(now: stage.fixture.clock.engine)
        #expect(!aside.isEmpty && aside.allSatisfy { $0.merchantID == Self.damaged && $0.kind == place.kind })
        #expect(aside.allSatisfy { $0.reason.contains("malformed") })
        #expect(stage.log.lines.contains { $0.level == .error && $0.fields["merchant"] == "304" })
        // Traffic goes on: what is damaged is met again, and costs nobody a pause.
        stage.fixture.clock.advance(by: .seconds(20))
        try await work(stage, failuresMax: 0)
        #expect(try await open(stage, 303) == 0)
        // Repaired, it goes on by itself within the hour; what was told is not told again.
        stage.faults.damage(nil)
        stage.fixture.clock.advance(by: .seconds(Limits.setAsideSeconds + 5))
        try await work(stage)
        stage.fixture.clock.advance(by: .seconds(200))
        try await work(stage)
        #expect(try await open(stage, Self.damaged) == 0)
        #expect(stage.told.invoices.counts.count == 50)
        #expect(stage.told.invoices.counts.allSatisfy { $0.value == 1 })
    }

    @Test("a delivery whose payout or notification is gone is set aside, and said", arguments: TestEngine.allCases)
    func nothingToSend(_ kind: TestEngine) async throws {
        let stage = try await stage(kind)
        try await pay(stage, 3, tag: "a")
        _ = try await stage.fixture.store.engine.write(.intake) { db in
            try db.run("DELETE FROM notifications WHERE merchant_id = $1", [.int(Self.damaged)])
        }
        try await work(stage)
        #expect(try await open(stage, 303) == 0)
        let aside = try await stage.fixture.store.setAsides(now: stage.fixture.clock.engine)
        #expect(aside.map(\.kind) == [.delivery, .delivery, .delivery])
        stage.fixture.clock.advance(by: .seconds(60))
        let logged = stage.log.lines.count
        try await work(stage)
        #expect(stage.log.lines.count == logged, "not again within the hour")
    }

    @Test("a merchant without a readable secret is one line a minute", arguments: TestEngine.allCases)
    func secrets(_ kind: TestEngine) async throws {
        let stage = try await stage(kind)
        try await pay(stage, 30, tag: "a")
        _ = try await stage.fixture.store.engine.write(.intake) { db in
            try db.run("DELETE FROM secrets WHERE merchant_id = $1", [.int(Self.damaged)])
        }
        try await work(stage)
        #expect(try await open(stage, 303) == 0)
        #expect(try await open(stage, Self.damaged) == 30)
        #expect(stage.log.lines.filter { $0.message == "deliveries cannot be signed; they wait" }.count == 1)
    }

    @Test("a batch of requests: only what needs the damaged row is refused", arguments: TestEngine.allCases)
    func intake(_ kind: TestEngine) async throws {
        let stage = try await stage(kind)
        stage.faults.damage { sql, values in
            sql.contains("INSERT INTO payouts") && values.contains(.int(Self.damaged))
        }
        let answers = Answers()
        for number in 0..<40 {
            let create = IntakeBatch.NewPayout(
                draft: try Fixtures.draft(invoice: "i-\(number)"), merchantID: number == 7 ? Self.damaged : 303)
            stage.fixture.engine.intake.enqueue(IntakeBatch(creates: [create])) { answers.add(number, $0) }
        }
        _ = try await stage.fixture.engine.intake.step(now: stage.fixture.clock.now)
        #expect(answers.refused == [7])
        #expect(try await stage.fixture.store.number("SELECT count(*) FROM payouts") == 39)
    }
}
