import Dispatch
import Synchronization

/// The one thread on which all writes of a SQLite file run, so that the connection's pages, its prepared statements and
/// the allocator's arena stay in the caches of one core. A dispatch queue would move every write to another thread.
final class WriterThread: Sendable {
    typealias Write = @Sendable () -> Void

    private struct State {
        var queue = WriteQueue<Write>()
        var isStopped = false
    }

    private let state = Mutex(State())
    /// One signal for each write, and one for the end.
    private let signals = DispatchSemaphore(value: 0)
    private let ended = DispatchSemaphore(value: 0)

    /// - Throws: `StoreError.unavailable` where the system has no thread.
    init(startThread: SystemThread.Start = SystemThread.start) throws {
        try SystemThread.startNeeded("reenvio writer", by: startThread) { self.work() }
    }

    /// Runs `write` when its turn comes; false, and it never runs, after `stop`.
    func submit(_ priority: WritePriority, _ write: @escaping Write) -> Bool {
        let isAccepted = state.withLock { state in
            guard !state.isStopped else { return false }
            state.queue.append(write, priority)
            return true
        }
        if isAccepted { signals.signal() }
        return isAccepted
    }

    /// No further writes; those that wait still run, then the thread ends.
    func stop() {
        let isFirst = state.withLock { state in
            defer { state.isStopped = true }
            return !state.isStopped
        }
        if isFirst { signals.signal() }
    }

    /// Waits for the thread's end, on any other thread, after `stop`.
    func join() {
        ended.wait()
        ended.signal()
    }

    private func work() {
        while true {
            signals.wait()
            guard let write = state.withLock({ $0.queue.next() }) else { break }
            write()
        }
        ended.signal()
    }
}
