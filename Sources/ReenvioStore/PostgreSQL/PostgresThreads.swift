import Dispatch
import Synchronization

/// Threads with a connection each, on which closures run one after the other, in order of right.
final class PostgresThreads: Sendable {
    typealias Job = @Sendable (PostgresSession) -> Void

    private struct State {
        var queue = WriteQueue<Job>()
        var isStopped = false
    }

    private let count: Int
    private let state = Mutex(State())
    /// One signal for each job, and one for the end of each thread.
    private let signals = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// - Throws: `StoreError.unavailable` where the system has not enough threads; those that began end.
    init(
        _ name: String, count: Int, startThread: SystemThread.Start = SystemThread.start,
        session: @escaping @Sendable () -> PostgresSession
    ) throws {
        self.count = count
        for started in 0..<count {
            do {
                try SystemThread.startNeeded(name, by: startThread) { self.work(session()) }
            } catch {
                for _ in 0..<started { signals.signal() }
                throw error
            }
        }
    }

    /// Runs `job` when its turn comes; false, and it never runs, after `stop`.
    func submit(_ priority: WritePriority, _ job: @escaping Job) -> Bool {
        let isAccepted = state.withLock { state in
            guard !state.isStopped else { return false }
            state.queue.append(job, priority)
            return true
        }
        if isAccepted { signals.signal() }
        return isAccepted
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

    private func work(_ session: PostgresSession) {
        defer { ended.signal() }
        while true {
            signals.wait()
            guard let job = state.withLock({ $0.queue.next() }) else { return }
            job(session)
        }
    }
}
