import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization

/// One host of one merchant that serves many URLs: some acknowledge, some refuse every message, some cannot digest any,
/// one acknowledges all but a few, one never answers, one answers late. The host dies and comes back, nodes are killed.
/// The world's books know how long each live delivery to a URL that would acknowledge has waited for its first attempt.
final class HostWorld {
    private enum Path: String, CaseIterable {
        case takes, alsoTakes = "also-takes", refuses, poison, mixed, hangs, late

        var url: String { "https://host.example/\(rawValue)" }
        var acknowledges: Bool { self == .takes || self == .alsoTakes }
    }

    /// Steps of a world, and the time from one to the next.
    static let steps = 120
    private static let tick: Duration = .milliseconds(100)
    /// No live delivery that would be acknowledged waits longer behind other messages of its receiver.
    private static let patience: Duration = .seconds(2)
    private static let merchantID: Int64 = 303
    private static let schedule = RetrySchedule(waits: [.zero, .seconds(1), .seconds(6), .seconds(30)])

    private(set) var kills = 0
    private(set) var breaks = 0
    private(set) var probes = 0
    private(set) var watched = 0
    private let store: Store
    private let clock = ManualClock()
    private let folder: ScratchFolder
    private let entropy: SeededEntropy
    private var random: EntropyGenerator
    private var transport = ScriptedTransport()
    private var engine: Engine
    private var paths: [Int64: Path] = [:]
    /// Live deliveries that wait for their first attempt at a host that is well, since when.
    private var waiting: [Int64: Timestamp] = [:]
    private var isDead = false
    private var wasBroken = false
    /// Requests that have no answer yet, and when they end.
    private var hanging: [(exchange: ScriptedTransport.Exchange, began: Timestamp)] = []
    private(set) var hung = 0

    init(seed: UInt64, on kind: TestEngine) async throws {
        folder = try ScratchFolder()
        store = try await Fixtures.store(kind, in: folder, merchants: [Self.merchantID])
        entropy = SeededEntropy(seed: seed)
        random = EntropyGenerator(entropy)
        engine = Self.engine(store, transport, clock, entropy)
    }

    private static func engine(
        _ store: Store, _ transport: ScriptedTransport, _ clock: ManualClock, _ entropy: SeededEntropy
    ) -> Engine {
        Engine(
            store: store, transport: transport,
            options: EngineOptions(schedule: schedule, policy: AddressPolicy(), resendBacklogMax: 1_000),
            clock: clock, entropy: entropy, logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() })
    }

    /// What may happen, then what does; nothing that should go may wait.
    func step() async throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<14: try await pay(Int.random(in: 1...30, using: &random))
        case 14..<17: try await resend()
        case 17..<20: toggleLife()
        case 20: kill()
        default: break
        }
        _ = try await engine.runner.step(now: clock.now)
        try await dispatch()
        try await check()
        clock.advance(by: Self.tick)
    }

    private func pay(_ count: Int) async throws {
        guard let path = Path.allCases.randomElement(using: &random) else { return }
        let first = paths.count
        let drafts = try (0..<count).map { number in
            IntakeBatch.NewPayout(
                draft: try Fixtures.draft(invoice: "inv-\(first + number)", url: path.url),
                merchantID: Self.merchantID)
        }
        let ids = try await submit(IntakeBatch(creates: drafts)).creates.compactMap { outcome -> Int64? in
            if case .payout(let id) = outcome { id } else { nil }
        }
        _ = try await submit(IntakeBatch(changes: ids.map { StatusChangeRequest(payoutID: $0, status: .paid) }))
        for id in ids {
            paths[id] = path
            if path.acknowledges, !isDead { waiting[id] = clock.engine }
        }
        if path.acknowledges { watched += count }
    }

    private func submit(_ batch: IntakeBatch) async throws -> IntakeResult {
        let answer = Mutex<Intake.Answer?>(nil)
        engine.intake.enqueue(batch) { result in answer.withLock { $0 = result } }
        _ = try await engine.intake.step(now: clock.now)
        guard let result = answer.withLock({ $0 }) else { throw SimulationFault("the intake did not answer") }
        return try result.get()
    }

    private func resend() async throws {
        let now = clock.wall.seconds
        let request = ResendRequest(
            merchantID: Self.merchantID, window: ResendWindow(startSeconds: now - 600, endSeconds: now + 1),
            statuses: PayoutStatus.notifiable)
        let opening = ResendOpening(
            accountID: Fixtures.accountID, jobID: Resend.newJobID(using: &random),
            requester: Requester(actor: "simulation"))
        _ = try await store.openResend(request, opening, now: clock.wall)
    }

    /// What waits when the host dies is backlog when it comes back: its first webhook afterwards is what must not wait.
    private func toggleLife() {
        isDead.toggle()
        waiting = [:]
    }

    private func kill() {
        kills += 1
        transport = ScriptedTransport()
        hanging = []
        // A queue that the killed node had put off, to claim from it as slots came free, comes up again within 2 s;
        // then what hangs has to be found out anew.
        for id in waiting.keys { waiting[id] = clock.engine + .seconds(1) }
        engine = Self.engine(store, transport, clock, entropy)
    }

    /// Lets the host answer whatever comes, until nothing does.
    private func dispatch() async throws {
        for (exchange, began) in hanging where clock.engine - began >= Self.hangs(exchange) {
            if exchange.request.url.text.hasSuffix(Path.late.rawValue), !isDead {
                exchange.end(.answered(WireAnswer(statusCode: 200)), after: Self.hangs(exchange))
            } else {
                exchange.end(.failed(.timedOut), after: Self.hangs(exchange))
            }
        }
        hanging.removeAll { clock.engine - $0.began >= Self.hangs($0.exchange) }
        // While slots are taken by what hangs, others may go one by one, with a moment between commits.
        var moments = 0
        for _ in 0..<5_000 {
            let step = try await engine.dispatcher.step(now: clock.now)
            let exchanges = transport.take()
            for exchange in exchanges { try answer(exchange) }
            guard exchanges.isEmpty, case .wait(let rest) = step else { continue }
            if rest > .milliseconds(5) || moments == 10 { return }
            moments += 1
            clock.advance(by: rest)
        }
        throw SimulationFault("the dispatcher found no rest")
    }

    private func answer(_ exchange: ScriptedTransport.Exchange) throws {
        guard case .object(let body) = try JSONParser.parse(exchange.request.body),
            case .number(let number) = body["id"], let id = number.integer, let path = paths[id]
        else { throw SimulationFault("a request of no payout") }
        if exchange.request.lane == .live { waiting[id] = nil }
        if wasBroken { probes += 1 }
        if isDead { return exchange.end(.failed(.connectionRefused)) }
        switch path {
        case .takes, .alsoTakes: exchange.answer(200)
        case .refuses: exchange.answer([301, 400, 404, 409, 422, 204].randomElement(using: &random) ?? 404)
        case .poison: exchange.answer([500, 502, 408, 425].randomElement(using: &random) ?? 500)
        case .mixed: exchange.answer(id.isMultiple(of: 7) ? 500 : 200)
        case .hangs, .late:
            hung += 1
            hanging.append((exchange, clock.engine))
        }
    }

    private static func hangs(_ exchange: ScriptedTransport.Exchange) -> Duration {
        exchange.request.url.text.hasSuffix(Path.late.rawValue) ? .seconds(3) : .seconds(5)
    }

    private func check() async throws {
        let late = waiting.filter { clock.engine - $0.value > Self.patience }
        guard late.isEmpty else {
            let state = try await texts(
                """
                SELECT 'broken ' || coalesce(broken_at, 0) || ' acked probes ' || acked_probes || ' probe_at ' ||
                    coalesce(probe_at, 0) || ' resume_at ' || coalesce(resume_at, 0) FROM receivers
                UNION ALL SELECT 'lane ' || lane || ' parked ' || parked || ' next_due ' || next_due FROM queues
                """)
            throw SimulationFault(
                "waiting for more than \(Self.patience) at \(clock.engine.microseconds): payouts "
                    + "\(late.keys.sorted()), since \(late.values.min()?.microseconds ?? 0); "
                    + "\(hanging.count) hang; \(state)"
            )
        }
        let broken = try await store.number("SELECT count(*) FROM receivers WHERE broken_at IS NOT NULL") ?? 0
        if broken > 0, !wasBroken { breaks += 1 }
        wasBroken = broken > 0
    }

    private func texts(_ sql: String) async throws -> [String] {
        try await store.engine.read { db in try db.all(sql) { $0.text(0) } }
    }

    /// The books agree with the rows.
    func checkSettled() async throws {
        let disagreements = try await store.recount(engineNow: clock.engine)
        guard disagreements.isEmpty else { throw SimulationFault(disagreements.joined(separator: "\n")) }
        let givenUp = try await store.number(
            "SELECT count(*) FROM settled WHERE state = 'exhausted' AND attempts < $1",
            [.int(Self.schedule.waits.count)])
        guard givenUp == 0 else { throw SimulationFault("\(givenUp ?? 0) given up too early") }
    }
}
