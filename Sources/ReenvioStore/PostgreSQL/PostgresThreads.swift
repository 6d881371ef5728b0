import Dispatch
import Synchronization

/// Threads with a connection each, on which jobs run one after the other, in order of right. The line of those that
/// wait is bounded, in number and in time (`sweep`).
final class PostgresThreads: Sendable {
    private struct State {
        var queue = WriteQueue<PostgresJob>()
        var running: [Int: (job: PostgresJob, since: ContinuousClock.Instant)] = [:]
        var isStopped = false
    }

    private let count: Int
    private let lineMax: Int
    private let keepsOneFree: Bool
    private let state = Mutex(State())
    /// One signal for each job, and one for the end of each thread.
    private let signals = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)
    private let droppedCount = Atomic<Int>(0)

    /// - Parameter keepsOneFree: whether of three or more one is kept for those that do not wait for a single row.
    /// - Throws: `StoreError.unavailable` where the system has not enough threads; those that began end.
    init(
        _ name: String, count: Int, lineMax: Int, keepsOneFree: Bool = false,
        startThread: SystemThread.Start = SystemThread.start,
        session: @escaping @Sendable () -> PostgresSession
    ) throws {
        self.count = count
        self.lineMax = lineMax
        self.keepsOneFree = keepsOneFree && count > 2
        for started in 0..<count {
            do {
                try SystemThread.startNeeded(name, by: startThread) { self.work(started, session()) }
            } catch {
                for _ in 0..<started { signals.signal() }
                throw error
            }
        }
    }

    /// Jobs so far that were refused without having begun.
    var dropped: Int { droppedCount.load(ordering: .relaxed) }

    /// Runs a job when its turn comes, if that is in time; refuses it at once where too many wait, and after `stop`.
    func submit(_ job: PostgresJob) {
        let refusal = state.withLock { state -> StoreError? in
            if state.isStopped { return .unavailable("the store is closed") }
            if state.queue.count >= lineMax { return .unavailable("too many calls wait for the database") }
            state.queue.append(job, job.priority)
            return nil
        }
        guard let refusal else {
            signals.signal()
            return
        }
        droppedCount.add(1, ordering: .relaxed)
        job.refuse(refusal)
    }

    /// Answers those whose time is over. Of those that wait nothing is done any more; what runs goes on.
    func sweep(_ pulse: PostgresPulse, now: ContinuousClock.Instant) {
        let (late, stuck) = state.withLock { state in
            let stuck = state.running.values.filter { running in
                let endsBy = running.job.endsBy ?? (pulse.quietFor >= pulse.silence ? running.job.beginsBy : now)
                return endsBy < now
            }
            return (state.queue.removeAll { $0.beginsBy < now }, stuck)
        }
        droppedCount.add(late.count, ordering: .relaxed)
        for job in late { job.refuse(.unavailable("no connection to the database was free in time")) }
        for (job, _) in stuck { job.refuse(.unavailable("the database did not answer in time")) }
    }

    /// Since when the longest of those that run has; nil where nothing runs or waits.
    func busySince(now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        state.withLock { state in
            state.running.values.map(\.since).min() ?? (state.queue.count > 0 ? now : nil)
        }
    }

    /// No further jobs; those that wait still run, then the threads end and their connections with them.
    func stop() {
        let isFirst = state.withLock { state in
            defer { state.isStopped = true }
            return !state.isStopped
        }
        if isFirst { for _ in 0..<count { signals.signal() } }
    }

    /// Waits for the end of all threads, on any other thread, after `stop`.
    func join() {
        for _ in 0..<count { ended.wait() }
        for _ in 0..<count { ended.signal() }
    }

    private func work(_ index: Int, _ session: PostgresSession) {
        defer { ended.signal() }
        while true {
            signals.wait()
            let (job, isOver) = next(index)
            if let job {
                job.run(session)
                ended(index, job)
            } else if isOver {
                return
            }
        }
    }

    private func ended(_ index: Int, _ job: PostgresJob) {
        let othersMay = state.withLock { state in
            state.running[index] = nil
            return keepsOneFree && job.priority.waitsForRows && state.queue.hasRowWaiters
        }
        // Whoever had their signal had to leave them.
        if othersMay { signals.signal() }
    }

    /// Nil without the end of all: whoever gave the signal was swept away, or must wait for the others.
    private func next(_ index: Int) -> (job: PostgresJob?, isOver: Bool) {
        state.withLock { state in
            let waiters = state.running.values.count { $0.job.priority.waitsForRows }
            let mayWait = !keepsOneFree || state.isStopped || waiters < count - 1
            let job = state.queue.next { mayWait || !$0.waitsForRows }
            if let job { state.running[index] = (job, .now) }
            return (job, state.isStopped)
        }
    }
}
