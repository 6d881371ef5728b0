package import ReenvioStore
import Synchronization

/// Collects finished attempts until many of them are written in one commit. Nothing here is lost by a failed commit:
/// the batch is put back and written again; its claims are still in force, or the result is late.
package final class OutcomeRecorder: Sendable {
    private struct State {
        var records: [AttemptRecord] = []
        /// How many of them, at the head, nobody needs to learn from any more.
        var known = 0
        /// At so many news the bells ring again; they ring for the first of them in any case.
        var enough = 1
        /// Wakes whoever writes, where that is not who claims.
        var writerBell: Doorbell?
    }

    /// At so many a commit is worth it, whatever else runs.
    package static let worthACommit = 256

    private let state = Mutex(State())
    private let bell: Doorbell

    package init(bell: Doorbell) {
        self.bell = bell
    }

    package func append(_ record: AttemptRecord) {
        let (isNews, writerBell) = state.withLock { state -> (Bool, Doorbell?) in
            state.records.append(record)
            let news = state.records.count - state.known
            let isDue = state.records.count == 1 || state.records.count == Self.worthACommit
            return (news == 1 || news == state.enough, isDue ? state.writerBell : nil)
        }
        if isNews { bell.ring() }
        writerBell?.ring()
    }

    /// Says how many news are worth a claim or commit of their own.
    package func ring(at count: Int) {
        state.withLock { $0.enough = count }
    }

    /// Whom to wake when there is something to write.
    package func wake(_ writerBell: Doorbell) {
        state.withLock { $0.writerBell = writerBell }
    }

    /// What was not handed out by this before: the slots of these attempts are free.
    package func news() -> ArraySlice<AttemptRecord> {
        state.withLock { state in
            defer { state.known = state.records.count }
            return state.records[state.known...]
        }
    }

    /// Only what was handed out as news before: an attempt whose end nobody learned of would keep its slot for ever.
    package func take(atMost count: Int) -> [AttemptRecord] {
        state.withLock { state in
            let count = min(count, state.known)
            state.known -= count
            if state.records.count == count {
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

    /// A batch that was learned from and could not be written.
    package func putBack(_ batch: [AttemptRecord]) {
        state.withLock { state in
            state.records = batch + state.records
            state.known += batch.count
        }
    }

    package var count: Int { state.withLock(\.records.count) }
    package var newsCount: Int { state.withLock { $0.records.count - $0.known } }
}
