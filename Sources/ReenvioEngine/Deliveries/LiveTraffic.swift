package import ReenvioModel
import Synchronization

/// Whether live changes come in at this time: what can wait makes room for them then (`docs/architecture.md`, rule 5).
package final class LiveTraffic: Sendable {
    /// So long after the last one.
    private static let lasts: Duration = .milliseconds(100)

    /// Engine time in microseconds.
    private let last = Atomic<Int64>(.min)
    private let commits = Atomic(0)

    package init() {}

    /// A commit with live deliveries was made.
    package func note(at now: Timestamp) {
        last.store(now.microseconds, ordering: .relaxed)
        commits.add(1, ordering: .releasing)
    }

    /// Commits noted so far.
    package var count: Int { commits.load(ordering: .acquiring) }

    package func isActive(at now: Timestamp) -> Bool {
        let last = last.load(ordering: .relaxed)
        return last != .min && now.microseconds - last < Self.lasts.microseconds
    }
}
