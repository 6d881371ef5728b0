import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting

/// An engine on a new store, with time and network in the test's hand.
struct EngineFixture {
    let folder: ScratchFolder
    let store: Store
    let clock: ManualClock
    let transport: ScriptedTransport
    let engine: Engine

    init(
        on kind: TestEngine = .standard, schedule: RetrySchedule = .standard,
        transport: ScriptedTransport = ScriptedTransport(),
        registry: MetricsRegistry = MetricsRegistry(), backlogMax: Int64 = 1_000_000,
        telling operatorHook: OperatorHook.Target? = nil,
        logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        wrapping wrap: (any StoreEngine) -> any StoreEngine = { $0 }
    ) async throws {
        clock = ManualClock()
        folder = try ScratchFolder()
        store = try await Fixtures.store(
            kind, in: folder, merchants: [303, 304], outbox: operatorHook.map { _ in NoticeOutbox() }, wrapping: wrap)
        self.transport = transport
        engine = Engine(
            store: store, transport: transport,
            options: EngineOptions(
                schedule: schedule, policy: AddressPolicy(), resendBacklogMax: backlogMax, operatorHook: operatorHook),
            clock: clock,
            entropy: SeededEntropy(seed: 1), registry: registry, logger: logger
        )
    }

    /// Another node on the store of one that is gone.
    init(after gone: EngineFixture, seed: UInt64 = 2) {
        (folder, clock, transport) = (gone.folder, gone.clock, ScriptedTransport())
        store = gone.store
        engine = Engine(
            store: store, transport: transport,
            options: EngineOptions(
                schedule: .standard, policy: AddressPolicy(), resendBacklogMax: 1_000_000,
                operatorHook: gone.engine.options.operatorHook),
            clock: clock, entropy: SeededEntropy(seed: seed),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    /// Steps the dispatcher until it has nothing to do.
    func dispatch() async throws {
        for _ in 0..<1_000 {
            if case .wait = try await engine.dispatcher.step(now: clock.now) { return }
        }
    }
}

/// Keeps the faulty engine that a fixture wraps its store in.
final class Faults {
    private(set) var engine: FaultyEngine?

    func wrap(_ base: any StoreEngine) -> any StoreEngine {
        let engine = FaultyEngine(base)
        self.engine = engine
        return engine
    }
}
