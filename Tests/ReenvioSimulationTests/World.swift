import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization

/// One node and its surroundings, made from a seed: real transactions on a real store, everything else scripted. The
/// world keeps its own books, against which the store is checked.
final class World {
    /// What the books know of a payout.
    struct BookedPayout {
        var merchantID: Int64
        var hasURL: Bool
        var status: PayoutStatus
        var changedSecond: Int64
    }

    static let merchants: [Int64] = [303, 304, 305]
    private static let schedule = RetrySchedule(waits: [.zero, .seconds(5), .seconds(60), .seconds(300)])

    let store: Store
    let clock = ManualClock()
    private(set) var payouts: [Int64: BookedPayout] = [:]
    var jobs = BookedJobs()
    var notices = BookedNotices()
    private(set) var kills = 0
    private(set) var pauses = 0
    private(set) var breaks = 0
    private(set) var acknowledgedByReceiver: Set<String> = []
    private let folder: ScratchFolder
    private let entropy: SeededEntropy
    var random: EntropyGenerator
    private var transport = ScriptedTransport()
    private(set) var engine: Engine
    private var invoices = 0
    private var importedLines: [[ImportLine]] = []
    /// Origins that do not answer now.
    private var dead: Set<String> = []
    /// Merchants and origins that somebody paused, with the receiver's id.
    private var paused: [PausedKey: Int64] = [:]

    private struct PausedKey: Hashable {
        var merchantID: Int64
        var origin: String
    }

    init(seed: UInt64, on kind: TestEngine) async throws {
        folder = try ScratchFolder()
        store = try await Fixtures.store(kind, in: folder, merchants: Self.merchants, outbox: NoticeOutbox())
        entropy = SeededEntropy(seed: seed)
        random = EntropyGenerator(entropy)
        engine = try Self.engine(store, transport, clock, entropy)
    }

    private static func engine(
        _ store: Store, _ transport: ScriptedTransport, _ clock: ManualClock, _ entropy: SeededEntropy
    ) throws -> Engine {
        Engine(
            store: store, transport: transport,
            options: EngineOptions(
                schedule: schedule, policy: AddressPolicy(), resendBacklogMax: 150, operatorHook: try operatorHook()),
            clock: clock, entropy: entropy, logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
        )
    }

    // MARK: - What can happen

    func act() async throws {
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<9: try await createPayouts()
        case 9..<12: try await importPayouts()
        case 12..<36: try await reportChanges()
        case 36..<44: try await openResend()
        case 44..<46: try await cancelResend()
        case 46..<60: _ = try await engine.runner.step(now: clock.now)
        case 60..<76: try await dispatch()
        case 76..<84: try answerSome()
        case 84..<86: try await pauseOrResume()
        case 86: toggleLife()
        case 87: clock.setWall(ahead: .seconds(pick([-3_600, -1, 1, 3_600])))
        case 88..<91: _ = try await engine.janitor.step(now: clock.now)
        case 91..<97: clock.advance(by: .milliseconds(Int64.random(in: 1...90_000, using: &random)))
        default: try kill()
        }
    }

    private func createPayouts() async throws {
        let merchantID = pick(Self.merchants)
        var creates: [IntakeBatch.NewPayout] = []
        for _ in 0..<Int.random(in: 1...60, using: &random) {
            invoices += 1
            // Every tenth payout has no URL; a few share the invoice of another and are refused.
            let url: String? = invoices.isMultiple(of: 10) ? nil : "https://r\(invoices % 3).example/hook"
            let invoice = invoices.isMultiple(of: 23) ? "inv-1" : "inv-\(invoices)"
            creates.append(.init(draft: try Fixtures.draft(invoice: invoice, url: url), merchantID: merchantID))
        }
        let result = try await submit(IntakeBatch(creates: creates))
        for (create, outcome) in zip(creates, result.creates) {
            guard case .payout(let id) = outcome else { continue }
            payouts[id] = BookedPayout(
                merchantID: merchantID, hasURL: create.draft.notificationURL != nil, status: .awaiting,
                changedSecond: clock.wall.seconds
            )
        }
    }

    /// New lines, or an earlier import again: what was stored then is unchanged, whatever happened since.
    private func importPayouts() async throws {
        if !importedLines.isEmpty, Bool.random(using: &random) {
            let again = pick(importedLines)
            let outcomes = try await store.importPayouts(again, now: clock.wall, nonces: again.map { _ in 1 })
            guard outcomes.allSatisfy({ $0 == .unchanged }) else {
                throw SimulationFault("an import changed: \(outcomes)")
            }
            return
        }
        let merchantID = pick(Self.merchants)
        let lines = try (0..<Int.random(in: 1...60, using: &random)).map { _ in try newLine(merchantID) }
        let nonces = lines.map { _ in entropy.next() }
        let outcomes = try await store.importPayouts(lines, now: clock.wall, nonces: nonces)
        var stored: [ImportLine] = []
        for (line, outcome) in zip(lines, outcomes) {
            guard case .imported(let id) = outcome else { continue }
            stored.append(line)
            payouts[id] = BookedPayout(
                merchantID: merchantID, hasURL: line.notificationURL != nil, status: line.status,
                changedSecond: line.updatedAt.seconds
            )
        }
        importedLines.append(stored)
    }

    private func newLine(_ merchantID: Int64) throws -> ImportLine {
        invoices += 1
        let draft = try Fixtures.draft(
            invoice: invoices.isMultiple(of: 23) ? "inv-1" : "inv-\(invoices)",
            url: invoices.isMultiple(of: 10) ? nil : "https://r\(invoices % 3).example/hook"
        )
        let status = pick(PayoutStatus.allCases)
        let createdAt = clock.wall - .milliseconds(Int64.random(in: 300_000...600_000, using: &random))
        let updatedAt = clock.wall - .milliseconds(Int64.random(in: 0...300_000, using: &random))
        return ImportLine(
            id: invoices.isMultiple(of: 3) ? Int64(invoices) + 1_000_000 : nil, merchantID: merchantID,
            invoice: draft.invoice, amount: draft.amount, notificationURL: draft.notificationURL, status: status,
            createdAt: createdAt, updatedAt: status == .awaiting ? createdAt : updatedAt
        )
    }

    private func reportChanges() async throws {
        let ids = payouts.keys.sorted()
        if ids.isEmpty { return }
        var changes: [StatusChangeRequest] = []
        for _ in 0..<Int.random(in: 1...80, using: &random) {
            changes.append(StatusChangeRequest(payoutID: pick(ids), status: pick(PayoutStatus.allCases)))
        }
        let result = try await submit(IntakeBatch(changes: changes))
        for (change, outcome) in zip(changes, result.changes) where outcome == .applied {
            guard var payout = payouts[change.payoutID] else { continue }
            payout.status = change.status
            payout.changedSecond = max(clock.wall.seconds, payout.changedSecond)
            payouts[change.payoutID] = payout
        }
    }

    /// Sends a request through the intake, in one step, as its loop would.
    private func submit(_ batch: IntakeBatch) async throws -> IntakeResult {
        let answer = Mutex<Intake.Answer?>(nil)
        engine.intake.enqueue(batch) { result in answer.withLock { $0 = result } }
        _ = try await engine.intake.step(now: clock.now)
        guard let result = answer.withLock({ $0 }) else { throw SimulationFault("the intake did not answer") }
        return try result.get()
    }

    /// One step; nothing new may go to a receiver that is paused.
    private func dispatch() async throws {
        let before = transport.count
        _ = try await engine.dispatcher.step(now: clock.now)
        _ = try await engine.operatorHook.step(now: clock.now)
        for request in transport.requests.dropFirst(before) {
            let key = PausedKey(merchantID: request.merchantID, origin: request.url.origin)
            guard paused[key] == nil else { throw SimulationFault("sent to \(key), which is paused") }
            try jobs.sent(request, at: clock.engine)
        }
    }

    private func pauseOrResume() async throws {
        let known = try await store.listReceivers(merchantID: nil, accountID: nil, CursorPage(limit: 100)).receivers
        if known.isEmpty { return }
        let receiver = pick(known)
        let key = PausedKey(merchantID: receiver.merchantID, origin: receiver.origin)
        if paused[key] == nil {
            pauses += 1
            paused[key] = receiver.id
            _ = try await store.pauseReceiver(
                id: receiver.id, accountID: nil, by: Requester(actor: "simulation"), now: clock.wall)
        } else {
            try await resume(key)
        }
    }

    private func resume(_ key: PausedKey) async throws {
        guard let id = paused.removeValue(forKey: key) else { return }
        _ = try await store.resumeReceiver(
            id: id, accountID: nil, by: Requester(actor: "simulation"), now: clock.wall, engineNow: clock.engine)
    }

    private func toggleLife() {
        let origin = "https://r\(Int.random(in: 0..<3, using: &random)).example:443"
        if dead.remove(origin) == nil { dead.insert(origin) }
    }

    private func answerSome() throws {
        for exchange in transport.take() {
            if BookedNotices.isOne(exchange) {
                try answerNotice(exchange)
                continue
            }
            if dead.contains(exchange.request.url.origin) {
                exchange.end(.failed(.connectionRefused))
                continue
            }
            // The receiver may have heard and acknowledged what this node never learns.
            let fate = Int.random(in: 0..<10, using: &random)
            switch fate {
            case 0..<6:
                acknowledgedByReceiver.insert(exchange.header("webhook-id"))
                exchange.answer(200)
            case 6: exchange.answer(pick([500, 409, 404, 429]))
            case 7: exchange.end(.failed(.timedOut))
            case 8: exchange.answer(503, retryAfter: "7")
            default:
                jobs.neverSent(exchange.request, at: clock.engine)
                exchange.end(.notStarted)
            }
        }
    }

    /// The process is gone between two steps: memory is lost, the store stays, and another starts.
    private func kill() throws {
        kills += 1
        for exchange in transport.take() where Bool.random(using: &random) {
            if BookedNotices.isOne(exchange) { try notices.hear(exchange) }
            acknowledgedByReceiver.insert(exchange.header("webhook-id"))
        }
        transport = ScriptedTransport()
        engine = try Self.engine(store, transport, clock, entropy)
    }

    func pick<C: RandomAccessCollection>(_ all: C) -> C.Element {
        all[all.index(all.startIndex, offsetBy: Int.random(in: 0..<all.count, using: &random))]
    }

    // MARK: - What must hold

    /// Lets everything run to its end, with a receiver that acknowledges.
    func settle() async throws {
        for key in Array(paused.keys) { try await resume(key) }
        dead = []
        for _ in 0..<20_000 {
            _ = try await engine.runner.step(now: clock.now)
            try await dispatch()
            let exchanges = transport.take()
            for exchange in exchanges {
                if BookedNotices.isOne(exchange) { try notices.hear(exchange) }
                acknowledgedByReceiver.insert(exchange.header("webhook-id"))
                exchange.answer(200)
            }
            if exchanges.isEmpty {
                _ = try await engine.janitor.step(now: clock.now)
                let open = try await store.number(
                    """
                    SELECT (SELECT count(*) FROM deliveries) + (SELECT count(*) FROM notices)
                        + (SELECT count(*) FROM resends WHERE state = 'processing')
                    """
                )
                if open == 0 { return }
                // A slot of a pace that is not used at its time is lost.
                let isPaced = try await store.number(
                    "SELECT count(*) FROM resends WHERE max_per_second IS NOT NULL AND next_slot > $1",
                    [.time(clock.engine - .seconds(1))])
                clock.advance(by: isPaced == 0 ? .seconds(20) : .milliseconds(100))
            }
        }
        throw SimulationFault("the world did not settle")
    }

    /// Holds at every moment.
    func checkAlways() async throws {
        breaks += Int(try await store.number("SELECT count(*) FROM receivers WHERE broken_at IS NOT NULL") ?? 0)
        let disagreements = try await store.recount(engineNow: clock.engine)
        guard disagreements.isEmpty else { throw SimulationFault(disagreements.joined(separator: "\n")) }
        try await checkJobs()
    }

    /// Holds once everything has settled.
    func checkSettled() async throws {
        try await checkAlways()
        try await checkEndedJobs()
        try await checkNothingIsLost()
        try await checkNotices()
    }

    /// What the store calls acknowledged, the receiver has heard; what it gave up on, it tried to the end.
    private func checkNothingIsLost() async throws {
        let acknowledged = try await store.rows(
            "SELECT id, nonce FROM notifications WHERE acked_at IS NOT NULL", columns: 2)
        for row in acknowledged {
            let id = WebhookID(id: row[0], nonce: UInt64(bitPattern: row[1])).description
            guard acknowledgedByReceiver.contains(id) else { throw SimulationFault("\(id) was never heard") }
        }
        let givenUp = try await store.rows(
            "SELECT object_id, delivery_id, attempts FROM settled WHERE state = 'exhausted' AND attempts < $1",
            columns: 3,
            [.int(Self.schedule.waits.count)]
        )
        guard givenUp.isEmpty else { throw SimulationFault("given up too early: \(givenUp)") }
    }
}

struct SimulationFault: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) {
        self.description = description
    }
}
