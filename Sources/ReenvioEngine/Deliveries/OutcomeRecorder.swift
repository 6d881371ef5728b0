package import ReenvioStore
import Synchronization

/// Collects finished attempts until the dispatcher writes many of them in one commit. Nothing here is lost by a failed
/// commit: the batch is put back and written again; its claims are still in force, or the result is late.
package final class OutcomeRecorder: Sendable {
    private let records = Mutex<[AttemptRecord]>([])
    private let bell: Doorbell

    package init(bell: Doorbell) {
        self.bell = bell
    }

    package func append(_ record: AttemptRecord) {
        records.withLock { $0.append(record) }
        bell.ring()
    }

    package func take(atMost count: Int) -> [AttemptRecord] {
        records.withLock { records in
            if records.count <= count {
                defer { records = [] }
                return records
            }
            let batch = Array(records.prefix(count))
            records.removeFirst(count)
            return batch
        }
    }

    package func putBack(_ batch: [AttemptRecord]) {
        records.withLock { $0 = batch + $0 }
    }

    package var isEmpty: Bool { records.withLock(\.isEmpty) }
}
