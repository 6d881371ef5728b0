import Logging
import NIOPosix
import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import ServiceLifecycle
import Synchronization
import Testing

/// Looping, waking and shutting down, once for all parts (`docs/architecture.md`, rule 8).
struct LoopTests {
    private final class Part: Stepping {
        let name = "part"
        let doorbell = Doorbell()
        let steps = Mutex(0)
        let finished = Flag()
        let didStep = Doorbell()
        private let plan: @Sendable (Int) throws -> Step

        init(_ plan: @escaping @Sendable (Int) throws -> Step) {
            self.plan = plan
        }

        func step(now: Moment) async throws -> Step {
            let number = steps.withLock { steps in
                steps += 1
                return steps
            }
            didStep.ring()
            return try plan(number)
        }

        func finish() async {
            finished.raise()
        }
    }

    private struct Broken: Error {}

    private func run(_ part: Part, until enough: Int, _ nudge: @escaping @Sendable (Part) -> Void) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let group = ServiceGroup(
            services: [PollLoop(part, clock: ManualClock(), on: loop, logger: logger)], logger: logger)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            while part.steps.withLock({ $0 }) < enough {
                nudge(part)
                await part.didStep.wait(atMost: .seconds(5), on: loop)
            }
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
        }
    }

    @Test("steps again at once, waits when told, and wakes at a ring")
    func stepsAndRings() async throws {
        let part = Part { $0 < 3 ? .again : .wait(.seconds(600)) }
        try await run(part, until: 5) { $0.doorbell.ring() }
        #expect(part.finished.isRaised)
    }

    @Test("an error does not end the loop")
    func survivesErrors() async throws {
        let part = Part { number in
            if number == 1 { throw Broken() }
            return .wait(.seconds(600))
        }
        try await run(part, until: 2) { $0.doorbell.ring() }
        #expect(part.finished.isRaised)
    }

    @Test("a ring while nobody waits is remembered, and a wait without a ring ends in time")
    func doorbell() async {
        let bell = Doorbell()
        let loop = MultiThreadedEventLoopGroup.singleton.any()
        bell.ring()
        bell.ring()
        await bell.wait(atMost: .seconds(600), on: loop)
        let start = ContinuousClock.now
        await bell.wait(atMost: .milliseconds(20), on: loop)
        #expect(ContinuousClock.now - start >= .milliseconds(15), "two rings are one")
    }

    @Test("readiness follows what the store takes now")
    func readiness() async throws {
        let holder = EngineHolder()
        let fixture = try await EngineFixture { base in
            let engine = FaultyEngine(base)
            holder.engine = engine
            return engine
        }
        let faulty = try #require(holder.engine)
        let readiness = Readiness(store: fixture.store)
        _ = try await readiness.step(now: fixture.clock.now)
        #expect(await readiness.isReady())
        faulty.fail(atStatement: 1)
        _ = try await readiness.step(now: fixture.clock.now)
        #expect(await readiness.isReady() == false)
        faulty.disarm()
        _ = try await readiness.step(now: fixture.clock.now)
        #expect(await readiness.isReady())
    }

    @Test("nobody who probes means not ready, not a hanging answer")
    func unanswered() async throws {
        let fixture = try await EngineFixture()
        #expect(await Readiness(store: fixture.store).isReady() == false)
    }

    @Test("engine time never runs backwards")
    func engineTime() {
        let clock = SystemClock()
        var last = clock.engine
        for _ in 0..<1_000 {
            let now = clock.engine
            #expect(now >= last)
            last = now
        }
        #expect(abs((clock.engine - clock.wall).microseconds) < 1_000_000)
    }
}
