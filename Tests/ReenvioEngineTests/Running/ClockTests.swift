import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// Clocks that are wrong: what is destroyed, given up, leased and due (`docs/decisions/0009-two-clocks.md`).
struct ClockTests {
    private static let day: Int64 = 86_400
    private static let wrongLine = "the wall clock contradicts the last good time; nothing is removed or given up by it"

    /// What the janitor would remove.
    private static func kept(_ fixture: EngineFixture) async throws -> [[Int64]] {
        try await fixture.store.rows(
            """
            SELECT (SELECT count(*) FROM parties), (SELECT count(*) FROM audit), (SELECT count(*) FROM attempts),
                (SELECT count(*) FROM settled), (SELECT count(*) FROM idempotency_keys)
            """, columns: 5)
    }

    private static func sweep(_ fixture: EngineFixture) async throws {
        for _ in 0..<20 {
            if case .wait(let rest) = try await fixture.engine.janitor.step(now: fixture.clock.now),
                rest >= .seconds(60)
            {
                return
            }
        }
        Issue.record("the janitor finds no end")
    }

    /// One payout that was acknowledged.
    private static func deliver(_ fixture: EngineFixture, _ prefix: String) async throws {
        let ids = try await fixture.store.createPayouts(1, prefix: prefix, now: fixture.clock.wall)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        #expect(try await ReceiverTests.answerAll(fixture) { $0.answer(200) } == 1)
    }

    @Test("a wall clock that jumps destroys nothing, is logged and shown, and needs nobody once it is right again")
    func janitor() async throws {
        for kind in TestEngine.allCases {
            let book = LogBook()
            let fixture = try await EngineFixture(on: kind, logger: book.logger)
            try await Self.deliver(fixture, "a")
            try await Self.sweep(fixture)
            let jumps: [Int64] = [401 * Self.day, -401 * Self.day, 2 * 3_600]
            for jump in jumps {
                fixture.clock.setWall(ahead: .seconds(jump))
                // What a clock that is behind has dated is as old as it says, once the clock is right.
                if jump > 0 { try await Self.deliver(fixture, "at \(jump)") }
                let before = try await Self.kept(fixture)
                try await Self.sweep(fixture)
                try await Self.sweep(fixture)
                #expect(try await Self.kept(fixture) == before, "\(kind), \(jump)")
                #expect(await fixture.engine.metrics.text().contains("\nreenvio_clock_distrusted 1\n"))
                let started = EngineFixture(after: fixture)
                try await Self.sweep(started)
                #expect(try await Self.kept(started) == before, "\(kind), \(jump), after a start")
                fixture.clock.setWall(ahead: .seconds(-jump))
                try await Self.sweep(fixture)
                #expect(try await Self.kept(fixture) == before, "\(kind), \(jump), set right")
                #expect(await fixture.engine.metrics.text().contains("\nreenvio_clock_distrusted 0\n"))
            }
            let wrong = book.lines.filter { $0.message == Self.wrongLine }
            #expect(wrong.count == 3 && wrong.allSatisfy { $0.level == .error }, "once a jump, not once a step")
            #expect(wrong.first?.fields["wall"]?.hasPrefix("2027-04-29T") == true)
            #expect(wrong.first?.fields["expected"]?.hasPrefix("2026-03-24T") == true)
            fixture.clock.advance(by: .seconds(402 * Self.day))
            try await Self.sweep(fixture)
            let left = try await fixture.store.number("SELECT count(*) FROM parties")
            #expect(left == 1, "time that really passed, but for what is dated 401 days later")
        }
    }

    @Test("a clock that an operator accepts is believed by a running server, and the acceptance is on record")
    func accepted() async throws {
        let fixture = try await EngineFixture()
        try await Self.deliver(fixture, "a")
        try await Self.sweep(fixture)
        fixture.clock.setWall(ahead: .seconds(401 * Self.day))
        try await Self.sweep(fixture)
        #expect(try await fixture.store.number("SELECT count(*) FROM parties") == 1)
        try await fixture.store.acceptClock(fixture.clock.reading, by: Requester(actor: "cli"))
        try await Self.sweep(fixture)
        #expect(try await fixture.store.number("SELECT count(*) FROM parties") == 0)
        #expect(try await fixture.store.number("SELECT count(*) FROM audit WHERE action = 'clock.accept'") == 1)
    }

    @Test("an Idempotency-Key does not end by a clock that jumped")
    func idempotency() async throws {
        let fixture = try await EngineFixture()
        try await Self.sweep(fixture)
        func create() async throws -> IntakeResult.Created {
            var claim = try IdempotencyClaim(
                accountID: 1, method: "POST", path: "/payouts", key: "once", body: Array("{}".utf8))
            claim.endedBefore = fixture.clock.expiry - .seconds(Limits.idempotencyKeptSeconds)
            let payout = IntakeBatch.NewPayout(
                draft: try Fixtures.draft(invoice: "once"), merchantID: Fixtures.merchantID, claim: claim)
            return try await fixture.store.commitIntake(
                IntakeBatch(creates: [payout]), now: fixture.clock.wall, due: fixture.clock.engine, nonces: []
            ).creates[0]
        }
        let made = try await create()
        guard case .payout(let id) = made else { throw Fixtures.Missing() }
        fixture.clock.setWall(ahead: .seconds(2 * Self.day))
        #expect(try await create() == .replayed(id: id))
    }

    @Test("engine time is stored with claims, once a second, and while something waits", arguments: TestEngine.allCases)
    func stored(_ kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        func highest() async throws -> Timestamp? { try await fixture.store.engineTime().highest }
        func behind() async throws -> Duration? { try await highest().map { fixture.clock.engine - $0 } }
        try await fixture.dispatch()
        fixture.clock.advance(by: .seconds(60))
        try await fixture.dispatch()
        #expect(try await highest() == nil, "nothing is open")
        _ = try await ReceiverTests.paid(1, fixture, prefix: "a")
        try await fixture.dispatch()
        #expect(try await behind() == .zero)
        fixture.clock.advance(by: .milliseconds(500))
        _ = try await ReceiverTests.paid(1, fixture, prefix: "b")
        try await fixture.dispatch()
        #expect(try await behind() == .milliseconds(500))
        for exchange in fixture.transport.take() { exchange.answer(500) }
        try await fixture.dispatch()
        fixture.clock.advance(by: .seconds(3))
        try await fixture.dispatch()
        #expect(try await behind() == .milliseconds(3_500))
        fixture.clock.setWall(ahead: .seconds(-3_600))
        fixture.clock.advance(by: .milliseconds(1_900))
        try await fixture.dispatch()
        fixture.clock.advance(by: .seconds(10))
        try await fixture.dispatch()
        #expect(try await behind() ?? .seconds(99) <= .seconds(2))
        #expect(try await fixture.store.engineTime().ahead == .seconds(3_600))
    }

    @Test("what a clock that was ahead put off by more than any schedule goes out", arguments: TestEngine.allCases)
    func pulledBack(_ kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        _ = try await ReceiverTests.paid(20, fixture)
        try await fixture.dispatch()
        #expect(fixture.transport.take().count > 0)
        try await fixture.store.engine.write(.bulk) { db in
            for sql in [
                "UPDATE deliveries SET due_at = due_at + 34560000000000",
                "UPDATE queues SET next_due = next_due + 34560000000000 WHERE next_due < 9000000000000000000",
                "UPDATE receivers SET resume_at = 1808899200000000, held_until = 1808899200000000",
            ] {
                try db.run(sql)
            }
        }
        let started = EngineFixture(after: fixture)
        #expect(try await ReceiverTests.answerAll(started) { $0.answer(200) } == 0)
        while case .again = try await started.engine.janitor.step(now: started.clock.now) {}
        #expect(try await ReceiverTests.answerAll(started) { $0.answer(200) } == 20)
        #expect(
            try await started.store.number(
                "SELECT count(*) FROM receivers WHERE resume_at > 1774400000000000 OR held_until > 1774400000000000")
                == 0)
        #expect(try await started.store.recount(engineNow: started.clock.engine).isEmpty)
    }

    @Test("a retry within the schedule is not pulled back")
    func keptWaits() async throws {
        let fixture = try await EngineFixture(schedule: RetrySchedule(waits: [.zero, .seconds(36_000)]))
        _ = try await ReceiverTests.paid(1, fixture)
        #expect(try await ReceiverTests.answerAll(fixture) { $0.answer(500) } == 1)
        _ = try await fixture.engine.janitor.step(now: fixture.clock.now)
        #expect(try await ReceiverTests.answerAll(fixture) { $0.answer(200) } == 0)
    }

    @Test("a node that starts follows the engine time of a running one, not a database clock that jumped")
    func startsBesideOthers() async throws {
        let store = try await Fixtures.store(.postgres, in: try ScratchFolder())
        let ahead = SystemClock(engine: SystemClock().wall + .seconds(3 * 3_600))
        let running = ServerClock(store: store, clock: ahead)
        try await store.tellEngineTime(ahead.engine - .seconds(3_600), ahead: .seconds(3_600))
        var difference = Duration.seconds(86_400)
        // A node that starts waits 2.5 s for an answer, which a busy machine may take longer for.
        for _ in 0..<20 where difference >= .seconds(600) || difference <= .seconds(-600) {
            let isStarted = Mutex(false)
            async let starting: SystemClock = {
                defer { isStarted.withLock { $0 = true } }
                return try await ServerClock.start(on: store)
            }()
            while !isStarted.withLock({ $0 }) {
                _ = try await running.step(now: ahead.now)
                await Task.yield()
            }
            difference = try await starting.engine - ahead.engine
        }
        #expect(difference < .seconds(600) && difference > .seconds(-600))
    }

    @Test("a server that starts alone begins no earlier than what was stored, and shows times by the wall clock")
    func startsAlone() async throws {
        let fixture = try await EngineFixture(on: .sqlite, schedule: RetrySchedule(waits: [.zero, .seconds(36_000)]))
        let stored = SystemClock().wall + .seconds(3 * 3_600)
        try await fixture.store.tellEngineTime(stored, ahead: .seconds(3 * 3_600))
        let clock = try await ServerClock.start(on: fixture.store)
        #expect(clock.engine >= stored)
        #expect(try await fixture.store.engineNow(wall: fixture.clock.wall) == fixture.clock.wall + .seconds(3 * 3_600))
        let ids = try await ReceiverTests.paid(1, fixture)
        let log = try #require(
            try await fixture.store.deliveryLog(
                payoutID: ids[0], accountID: nil, now: fixture.clock.engine,
                wall: fixture.clock.engine - .seconds(3_600)))
        #expect(log[0].deliveries[0].nextAttemptAt == fixture.clock.engine - .seconds(3_600))
    }
}
