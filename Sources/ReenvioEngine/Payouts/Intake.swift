package import Logging
import Metrics
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// How changes come in: concurrent requests are merged into one commit, and each is answered after it
/// (`docs/architecture.md`, rules 1 and 2). Waits for nobody when idle: a lone request is committed at once.
package final class Intake: Stepping {
    package typealias Answer = Result<IntakeResult, any Error>

    package let name = "intake"
    package let doorbell = Doorbell()
    /// Wakes `IntakeDeadline` when the first request joins an empty queue.
    let deadlineBell = Doorbell()
    /// Whether changes get through.
    package let commits = CommitWatch()
    let line = Mutex(IntakeLine())
    let store: Store
    let metrics: EngineMetrics
    let logger: Logger
    private let clock: any TimeSource
    private let entropy: any Entropy
    private let schedule: RetrySchedule
    private let dispatcherBell: Doorbell
    private let traffic: LiveTraffic

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
    /// - Throws: `StoreError.unavailable` when the commit failed or is unknown, its time is over, or too much waits
    ///   already. Whether anything was stored is then not known; transitions are safe to repeat.
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
        let request = IntakeRequest(batch, answer: answer)
        let (isAccepted, isFirst) = line.withLock { line in
            let isFirst = line.isEmpty
            return (line.append(request), isFirst)
        }
        guard isAccepted else {
            metrics.droppedCalls.add(1)
            return request.answer(.failure(StoreError.unavailable("too many changes wait to be written")))
        }
        if isFirst { deadlineBell.ring() }
        doorbell.ring()
    }

    package func step(now: Moment) async throws -> Step {
        let requests = line.withLock { $0.takeBatch() }
        if !requests.isEmpty { await commit(requests, now: now) }
        let retry = line.withLock { $0.takeRetry(now: .now) }
        if let retry { await tryAgain(retry, now: now) }
        guard requests.isEmpty, retry == nil else { return .again }
        return .wait(line.withLock { $0.untilRetry(now: .now) } ?? .seconds(1))
    }

    /// Commits what still waits; later requests are refused.
    package func finish() async {
        line.withLock { $0.isClosed = true }
        while true {
            let requests = line.withLock { $0.takeBatch() }
            if requests.isEmpty { break }
            await commit(requests, now: clock.now)
        }
        // What is locked now is not waited for.
        while let retry = line.withLock({ $0.takeRetry(now: .now + .seconds(1)) }) {
            do {
                try await write(retry.requests, now: clock.now, lockWait: Self.retryLockWait)
            } catch {
                fail(retry.requests, error)
            }
        }
    }

    /// One commit. What fails is answered, but for those that met a lock.
    /// - Throws: `StoreError.locked`.
    func write(_ requests: [IntakeRequest], now: Moment, lockWait: Duration) async throws {
        let batch = IntakeBatch(
            creates: requests.flatMap(\.batch.creates), changes: requests.flatMap(\.batch.changes),
            shown: requests.flatMap(\.batch.shown)
        )
        do {
            let result = try await store.commitIntake(
                batch, now: now.wall, due: now.engine + schedule.firstWait,
                nonces: batch.changes.map { _ in entropy.next() }, lockWait: lockWait
            )
            note(result, now: now)
            answer(requests, with: result)
        } catch StoreError.locked(let why) {
            throw StoreError.locked(why)
        } catch {
            if let halves = BatchSplit.halves(requests, after: error) {
                for half in halves {
                    do {
                        try await write(half, now: now, lockWait: lockWait)
                    } catch {
                        fail(half, error)
                    }
                }
                return
            }
            fail(requests, error)
        }
    }

    private func note(_ result: IntakeResult, now: Moment) {
        commits.succeeded()
        let applied = result.changes.count { $0 == .applied }
        if applied > 0 {
            metrics.changes.increment(by: applied)
            metrics.pulse.noteAccepted(applied, at: now.wall)
        }
        if result.deliveries > 0 {
            traffic.note(at: now.engine)
            dispatcherBell.ring()
        }
    }

    /// Failed or unknown, it is one answer to the whole batch: try again (docs/architecture.md, rule 1).
    func fail(_ requests: [IntakeRequest], _ error: any Error) {
        if case StoreError.failed = error {} else { commits.failed() }
        logger.error("a batch of changes was not committed", metadata: ["error": "\(error)"])
        // The line of each request says why, too.
        let failure = StoreError.unavailable("the commit failed: \(error)")
        for request in requests { request.answer(.failure(failure)) }
    }

    private func answer(_ requests: [IntakeRequest], with result: IntakeResult) {
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
