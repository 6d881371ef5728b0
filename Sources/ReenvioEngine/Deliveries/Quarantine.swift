import Logging
import ReenvioModel
import ReenvioStore
import Synchronization

/// What this node found damaged and passes over: results that cannot be written, kept until they can, and queues and
/// receivers that cannot be read. Each is tried again after an hour; the store and the log say what it is.
final class Quarantine: Sendable {
    private struct Held {
        var record: AttemptRecord
        var retryAt: Timestamp
    }

    private struct State {
        var claims = Suspicion()
        var records = Suspicion()
        var held: [Held] = []
        var queues: [Turns.Candidate: Timestamp] = [:]
        var receivers: [Int64: Timestamp] = [:]

        mutating func found(now: Timestamp) {
            claims.found(now: now)
            records.found(now: now)
        }
    }

    private static let wait: Duration = .seconds(Limits.setAsideSeconds)
    /// So much longer does a delivery wait whose result is tried again.
    private static let leaseBeyond: Duration = .seconds(2 * Limits.leaseSeconds)
    /// Results kept in memory; beyond them the oldest are let go, and their deliveries come due again.
    private static let heldMax = 10_000

    private let state = Mutex(State())
    private let store: Store
    private let logger: Logger

    init(store: Store, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    /// Whether queues or receivers are passed over, which the store says are due.
    var passesOver: Bool { state.withLock { !$0.queues.isEmpty || !$0.receivers.isEmpty } }

    /// Whether to look for the item behind a failed commit, of outcomes or of claims only. `now` is engine time.
    func suspects(_ error: any Error, inRecords: Bool, now: Timestamp) -> Bool {
        state.withLock { state in
            inRecords ? state.records.failed(error, now: now) : state.claims.failed(error, now: now)
        }
    }

    func succeeded(inRecords: Bool) {
        state.withLock { state in
            if inRecords { state.records.succeeded() } else { state.claims.succeeded() }
        }
    }

    /// Takes what is passed over out of a claim.
    func apply(to order: inout ClaimOrder) {
        state.withLock { state in
            if state.queues.isEmpty, state.receivers.isEmpty { return }
            state.queues = state.queues.filter { $0.value > order.now }
            state.receivers = state.receivers.filter { $0.value > order.now }
            order.without = Set(state.queues.keys)
            order.withoutProbes = Set(state.receivers.keys)
        }
    }

    /// Results that could not be written an hour ago, to be tried again.
    func due(now: Timestamp) -> [AttemptRecord] {
        state.withLock { state in
            if state.held.isEmpty { return [] }
            let due = state.held.filter { $0.retryAt <= now }.map(\.record)
            state.held.removeAll { $0.retryAt <= now }
            return due
        }
    }

    func hold(_ bad: [Apart.Bad<AttemptRecord>], now: Moment) async {
        if bad.isEmpty { return }
        let retryAt = now.engine + Self.wait
        state.withLock { state in
            state.found(now: now.engine)
            state.held += bad.map { Held(record: $0.item, retryAt: retryAt) }
            state.held.removeFirst(max(0, state.held.count - Self.heldMax))
        }
        await note(
            bad.map { bad in
                let claimed = bad.item.claimed
                return SetAside(
                    .outcome, merchantID: claimed.merchantID, id: claimed.id, reason: bad.why,
                    until: retryAt + Self.leaseBeyond)
            }, now: now)
    }

    /// Results that were held and are written now.
    func release(_ records: [AttemptRecord]) async {
        if records.isEmpty { return }
        try? await store.takeBack(.outcome, ids: records.map { ($0.claimed.merchantID, $0.claimed.id) })
    }

    func passOver(_ bad: [Apart.Bad<Turns.Candidate>], now: Moment) async {
        if bad.isEmpty { return }
        let until = now.engine + Self.wait
        state.withLock { state in
            state.found(now: now.engine)
            for bad in bad { state.queues[bad.item] = until }
        }
        await note(
            bad.map {
                SetAside(
                    .queue, merchantID: $0.item.merchantID, id: $0.item.queue.raw, reason: $0.why, until: until)
            }, now: now)
    }

    func passOver(_ broken: ProbeBroken, now: Moment) async {
        let until = now.engine + Self.wait
        state.withLock { state in
            state.found(now: now.engine)
            state.receivers[broken.receiverID] = until
        }
        let item = SetAside(
            .receiver, merchantID: broken.merchantID, id: broken.receiverID, reason: broken.why, until: until)
        await note([item], now: now)
    }

    /// Claimed deliveries that have nothing to send.
    func putOff(_ damaged: [ClaimResult.Damaged], now: Moment) async {
        if damaged.isEmpty { return }
        let until = now.engine + Self.wait
        await note(
            damaged.map {
                SetAside(.delivery, merchantID: $0.merchantID, id: $0.deliveryID, reason: $0.why, until: until)
            }, now: now)
    }

    /// A line for the log and a row for the commands; where even that cannot be written, leases bring it back.
    private func note(_ items: [SetAside], now: Moment) async {
        for item in items.prefix(10) {
            logger.error(
                "something in the store is damaged; it is set aside and tried again in an hour",
                metadata: [
                    "kind": "\(item.kind.rawValue)", "merchant": "\(item.merchantID)", "id": "\(item.id)",
                    "error": "\(item.reason)", "count": "\(items.count)",
                ])
        }
        let store = store
        _ = await Apart.write(items) { part in
            try await store.setAside(part, now: now.wall, engineNow: now.engine)
        }
    }
}
