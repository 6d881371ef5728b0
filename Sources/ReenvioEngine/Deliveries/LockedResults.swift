import ReenvioModel
import ReenvioStore
import Synchronization

/// Holds attempt results and receiver changes whose rows are locked. Retries them one merchant or receiver at a time;
/// until then nothing more is claimed from their queues.
final class LockedResults: Sendable {
    private struct State {
        var records: [Int64: [AttemptRecord]] = [:]
        var changes: [Int64: [ReceiverChange]] = [:]
        /// When a merchant's records, or a receiver's changes, are tried again.
        var recordsAt: [Int64: ContinuousClock.Instant] = [:]
        var changesAt: [Int64: ContinuousClock.Instant] = [:]
    }

    private static let retryEvery: Duration = .milliseconds(500)

    private let state = Mutex(State())

    var isEmpty: Bool { state.withLock { $0.records.isEmpty && $0.changes.isEmpty } }

    /// Takes those that would meet a lock, behind what waits there; returns the others.
    func passing(_ records: [AttemptRecord]) -> [AttemptRecord] {
        state.withLock { state in
            if state.records.isEmpty { return records }
            return records.filter { record in
                let merchantID = record.claimed.merchantID
                let isFree = state.records[merchantID] == nil
                if !isFree { state.records[merchantID]?.append(record) }
                return isFree
            }
        }
    }

    func passing(_ changes: [ReceiverChange]) -> [ReceiverChange] {
        state.withLock { state in
            if state.changes.isEmpty { return changes }
            return changes.filter { change in
                let isFree = state.changes[change.receiverID] == nil
                if !isFree { state.changes[change.receiverID]?.append(change) }
                return isFree
            }
        }
    }

    /// Met a lock.
    func hold(_ records: [AttemptRecord], _ changes: [ReceiverChange] = [], now: ContinuousClock.Instant) {
        state.withLock { state in
            for (id, held) in Dictionary(grouping: records, by: \.claimed.merchantID) {
                state.records[id] = held + (state.records[id] ?? [])
                state.recordsAt[id] = now + Self.retryEvery
            }
            for (id, held) in Dictionary(grouping: changes, by: \.receiverID) {
                state.changes[id] = held + (state.changes[id] ?? [])
                state.changesAt[id] = now + Self.retryEvery
            }
        }
    }

    /// The records of one merchant, or the changes of one receiver, whose turn it is.
    func takeDue(now: ContinuousClock.Instant) -> (records: [AttemptRecord], changes: [ReceiverChange]) {
        state.withLock { state in
            if let (id, _) = state.changesAt.filter({ $0.value <= now }).min(by: { $0.value < $1.value }) {
                state.changesAt[id] = nil
                return ([], state.changes.removeValue(forKey: id) ?? [])
            }
            guard let (id, _) = state.recordsAt.filter({ $0.value <= now }).min(by: { $0.value < $1.value }) else {
                return ([], [])
            }
            state.recordsAt[id] = nil
            let all = state.records.removeValue(forKey: id) ?? []
            if all.count > Limits.outcomesPerCommit {
                state.records[id] = Array(all.dropFirst(Limits.outcomesPerCommit))
                state.recordsAt[id] = now
            }
            return (Array(all.prefix(Limits.outcomesPerCommit)), [])
        }
    }

    /// At the end: all of them.
    func takeAll() -> [AttemptRecord] {
        state.withLock { state in
            defer { (state.records, state.recordsAt) = ([:], [:]) }
            return state.records.values.flatMap { $0 }
        }
    }

    /// Takes the queues of what waits out of a claim: their rows may be locked, and their results wait, too.
    func apply(to order: inout ClaimOrder) {
        state.withLock { state in
            if state.records.isEmpty { return }
            for record in state.records.values.joined() {
                order.without.insert(
                    Turns.Candidate(merchantID: record.claimed.merchantID, queue: record.claimed.queue))
            }
        }
    }
}
