import Synchronization

/// Jobs that were canceled a moment ago: what was claimed for them before that must not begin (`docs/contract.md`
/// 13.2).
package final class CancelGate: Sendable {
    /// Jobs canceled here that no claim has seen yet; more than a person cancels between two claims.
    private static let unseenKept = 10_000

    private struct State {
        /// As the last claim saw them.
        var seen: Set<Int64> = []
        var unseen: Set<Int64> = []
    }

    private let state = Mutex(State())
    private let isEmpty = Atomic<Bool>(true)

    package init() {}

    /// What a claim saw. It may have begun before a cancel here, which therefore stays until a claim has seen it.
    package func replace(_ canceled: Set<Int64>) {
        if canceled.isEmpty && isEmpty.load(ordering: .relaxed) { return }
        state.withLock { state in
            state.unseen.subtract(canceled)
            state.seen = canceled
            isEmpty.store(state.seen.isEmpty && state.unseen.isEmpty, ordering: .relaxed)
        }
    }

    package func add(_ id: Int64) {
        state.withLock { state in
            if state.unseen.count >= Self.unseenKept { state.unseen.removeAll() }
            state.unseen.insert(id)
            isEmpty.store(false, ordering: .relaxed)
        }
    }

    package func contains(_ id: Int64?) -> Bool {
        guard let id, !isEmpty.load(ordering: .relaxed) else { return false }
        return state.withLock { $0.seen.contains(id) || $0.unseen.contains(id) }
    }
}
