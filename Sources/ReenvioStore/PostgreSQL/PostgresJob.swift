import Synchronization

/// A call of the engine that waits for a thread with its connection, or has one.
struct PostgresJob: Sendable {
    var priority: WritePriority
    /// Not begun by then, it never is.
    var beginsBy: ContinuousClock.Instant
    /// When its caller is answered at the latest; nil: it may take what its statements may take.
    var endsBy: ContinuousClock.Instant?
    var run: @Sendable (PostgresSession) -> Void
    /// Answers its caller, where nobody has.
    var refuse: @Sendable (StoreError) -> Void
}

/// Somebody who waits for an answer. The first one counts.
final class PostgresCaller<Answer: Sendable>: Sendable {
    private let continuation: Mutex<CheckedContinuation<Answer, any Error>?>

    init(_ continuation: CheckedContinuation<Answer, any Error>) {
        self.continuation = Mutex(continuation)
    }

    func answer(_ result: Result<Answer, any Error>) {
        let waiting = continuation.withLock { waiting in
            defer { waiting = nil }
            return waiting
        }
        waiting?.resume(with: result)
    }
}
