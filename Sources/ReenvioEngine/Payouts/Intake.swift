package import Logging
import Metrics
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// How changes come in: concurrent requests are merged into one commit, and each is answered after it
/// (`docs/architecture.md`, rules 1 and 2). Waits for nobody when idle: a lone request is committed at once.
package final class Intake: Stepping {
    package typealias Answer = Result<IntakeResult, any Error>

    private struct Request: Sendable {
        var batch: IntakeBatch
        var answer: @Sendable (Answer) -> Void
        var size: Int { batch.creates.count + batch.changes.count }
    }

    private struct State {
        var waiting: [Request] = []
        var size = 0
        var isClosed = false
    }

    package let name = "intake"
    package let doorbell = Doorbell()
    private let state = Mutex(State())
    private let store: Store
    private let clock: any TimeSource
    private let entropy: any Entropy
    private let schedule: RetrySchedule
    private let dispatcherBell: Doorbell
    private let traffic: LiveTraffic
    private let metrics: EngineMetrics
    private let logger: Logger

    package init(
        store: Store, clock: any TimeSource, entropy: any Entropy, schedule: RetrySchedule, dispatcherBell: Doorbell,
        traffic: LiveTraffic, metrics: EngineMetrics, logger: Logger
    ) {
        self.store = store
        self.clock = clock
        self.entropy = entropy
        self.schedule = schedule
        self.dispatcherBell = dispatcherBell
        self.traffic = traffic
        self.metrics = metrics
        self.logger = logger
    }

    /// Commits a request with whatever else waits, and returns what became of each of its items.
    /// - Throws: `StoreError.unavailable` when the commit failed or is unknown, or too much waits already. Whether
    ///   anything was stored is then not known; transitions are safe to repeat.
    package func submit(_ batch: IntakeBatch) async throws -> IntakeResult {
        var batch = batch
        if let trace = Traces.current {
            for index in batch.changes.indices { batch.changes[index].trace = trace }
        }
        return try await withCheckedThrowingContinuation { [batch] continuation in
            enqueue(batch) { continuation.resume(with: $0) }
        }
    }

    /// The same without waiting; `answer` is called exactly once, after the commit.
    package func enqueue(_ batch: IntakeBatch, answer: @escaping @Sendable (Answer) -> Void) {
        let request = Request(batch: batch, answer: answer)
        let isAccepted = state.withLock { state in
            guard !state.isClosed, state.size + request.size <= Limits.changesWaiting else { return false }
            state.waiting.append(request)
            state.size += request.size
            return true
        }
        if isAccepted {
            doorbell.ring()
        } else {
            answer(.failure(StoreError.unavailable("too many changes wait to be written")))
        }
    }

    package func step(now: Moment) async throws -> Step {
        let requests = takeBatch()
        if requests.isEmpty { return .wait(.seconds(1)) }
        await commit(requests, now: now)
        return .again
    }

    /// Commits what still waits; later requests are refused.
    package func finish() async {
        state.withLock { $0.isClosed = true }
        while true {
            let requests = takeBatch()
            if requests.isEmpty { return }
            await commit(requests, now: clock.now)
        }
    }

    /// Whole requests until the batch holds enough changes; one request is never split.
    private func takeBatch() -> [Request] {
        state.withLock { state in
            var size = 0
            var count = 0
            while count < state.waiting.count, size < Limits.changesPerCommit {
                let next = state.waiting[count].size
                if count > 0, size + next > Limits.changesPerCommit { break }
                size += next
                count += 1
            }
            let batch = Array(state.waiting.prefix(count))
            state.waiting.removeFirst(count)
            state.size -= size
            return batch
        }
    }

    private func commit(_ requests: [Request], now: Moment) async {
        let batch = IntakeBatch(
            creates: requests.flatMap(\.batch.creates), changes: requests.flatMap(\.batch.changes),
            shown: requests.flatMap(\.batch.shown)
        )
        do {
            let result = try await store.commitIntake(
                batch, now: now.wall, due: now.engine + schedule.firstWait,
                nonces: batch.changes.map { _ in entropy.next() }
            )
            let applied = result.changes.count { $0 == .applied }
            if applied > 0 {
                metrics.changes.increment(by: applied)
                metrics.pulse.noteAccepted(applied, at: now.wall)
            }
            if result.deliveries > 0 {
                traffic.note(at: now.engine)
                dispatcherBell.ring()
            }
            answer(requests, with: result)
        } catch {
            if let halves = BatchSplit.halves(requests, after: error) {
                for half in halves { await commit(half, now: now) }
                return
            }
            // Failed or unknown, it is one answer to the whole batch: try again (docs/architecture.md, rule 1).
            logger.error("a batch of changes was not committed", metadata: ["error": "\(error)"])
            // The line of each request says why, too.
            let failure = StoreError.unavailable("the commit failed: \(error)")
            for request in requests { request.answer(.failure(failure)) }
        }
    }

    private func answer(_ requests: [Request], with result: IntakeResult) {
        var creates = result.creates[...]
        var changes = result.changes[...]
        for request in requests {
            let ownCreates = creates.prefix(request.batch.creates.count)
            let ownChanges = changes.prefix(request.batch.changes.count)
            creates = creates.dropFirst(ownCreates.count)
            changes = changes.dropFirst(ownChanges.count)
            request.answer(.success(result.part(creates: ownCreates, changes: ownChanges)))
        }
    }
}
