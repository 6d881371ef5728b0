package import ReenvioStore
import Synchronization

/// Collects finished attempts until many of them are written in one commit. Nothing here is lost by a failed commit:
/// the batch is put back and written again; its claims are still in force, or the result is late.
package final class OutcomeRecorder: Sendable {
    private struct State {
        /// What nobody has learned from yet.
        var news: [AttemptRecord] = []
        /// What was learned from, and is to be written.
        var known: [AttemptRecord] = []
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
            state.news.append(record)
            let count = state.known.count + state.news.count
            let isDue = count == 1 || count == Self.worthACommit
            return (state.news.count == 1 || state.news.count == state.enough, isDue ? state.writerBell : nil)
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
    package func news() -> [AttemptRecord] {
        state.withLock { state in
            if state.news.isEmpty { return [] }
            let news = state.news
            state.news = []
            state.news.reserveCapacity(news.count)
            if state.known.isEmpty { state.known = news } else { state.known += news }
            return news
        }
    }

    /// Only what was handed out as news before: an attempt whose end nobody learned of would keep its slot for ever.
    package func take(atMost count: Int) -> [AttemptRecord] {
        state.withLock { state in
            if state.known.count <= count {
                defer { state.known = [] }
                return state.known
            }
            let batch = Array(state.known.prefix(count))
            state.known.removeFirst(count)
            return batch
        }
    }

    /// A batch that was learned from and could not be written.
    package func putBack(_ batch: [AttemptRecord]) {
        if batch.isEmpty { return }
        state.withLock { $0.known = batch + $0.known }
    }

    package var count: Int { state.withLock { $0.known.count + $0.news.count } }
    package var newsCount: Int { state.withLock(\.news.count) }
}
