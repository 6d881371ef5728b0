package import ReenvioStore
import Synchronization

/// Collects finished attempts until the dispatcher writes many of them in one commit. Nothing here is lost by a failed
/// commit: the batch is put back and written again; its claims are still in force, or the result is late.
package final class OutcomeRecorder: Sendable {
    private struct State {
        var records: [AttemptRecord] = []
        /// At so many the bell rings again; it rings for the first of them in any case.
        var enough = 1
    }

    private let state = Mutex(State())
    private let bell: Doorbell

    package init(bell: Doorbell) {
        self.bell = bell
    }

    package func append(_ record: AttemptRecord) {
        let rings = state.withLock { state in
            state.records.append(record)
            return state.records.count == 1 || state.records.count == state.enough
        }
        if rings { bell.ring() }
    }

    /// Says how many records are worth a commit of their own.
    package func ring(at count: Int) {
        state.withLock { $0.enough = count }
    }

    package func take(atMost count: Int) -> [AttemptRecord] {
        state.withLock { state in
            if state.records.count <= count {
                defer {
                    state.records = []
                    state.records.reserveCapacity(count / 4)
                }
                return state.records
            }
            let batch = Array(state.records.prefix(count))
            state.records.removeFirst(count)
            return batch
        }
    }

    package func putBack(_ batch: [AttemptRecord]) {
        state.withLock { $0.records = batch + $0.records }
    }

    package var count: Int { state.withLock(\.records.count) }
}
