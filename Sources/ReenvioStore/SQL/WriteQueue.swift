/// Who may write next, in order of right (`docs/architecture.md`, rule 6).
package enum WritePriority: Int, Sendable, CaseIterable {
    /// Changes are batches of many requests, what else comes in is a transaction for each.
    case changes, intake, outcomes, claims, chunks, janitor, bulk

    /// As metrics name it.
    package var operation: String { self == .changes ? "intake" : "\(self)" }

    /// Whether a row that somebody holds keeps it waiting. Those that are batches of many merchants' work do not wait
    /// for one of them.
    var waitsForRows: Bool { ![.changes, .outcomes, .claims].contains(self) }
}

/// Writes that wait for the one writer: the one with the greatest right comes first, the longest waiting first among
/// equals. A write is bounded, so nobody waits longer than the writes of those before it.
package struct WriteQueue<Write> {
    /// Every so many turns the least right goes first, so that a saturated writer still gets round to everybody.
    private let leastEvery = 16

    private var waiting: [[Write]] = WritePriority.allCases.map { _ in [] }
    private var turns = 0

    package init() {}

    package var count: Int { waiting.reduce(0) { $0 + $1.count } }

    package mutating func append(_ write: Write, _ priority: WritePriority) {
        waiting[priority.rawValue].append(write)
    }

    /// Takes out those that are not to be run any more.
    package mutating func removeAll(where isOver: (Write) -> Bool) -> [Write] {
        var removed: [Write] = []
        for priority in waiting.indices where waiting[priority].contains(where: isOver) {
            removed += waiting[priority].filter(isOver)
            waiting[priority].removeAll(where: isOver)
        }
        return removed
    }

    /// Takes out whose turn it is; nil when nobody waits.
    package mutating func next() -> Write? {
        next { _ in true }
    }

    /// The same among some.
    mutating func next(of isAllowed: (WritePriority) -> Bool) -> Write? {
        turns += 1
        let isLeastsTurn = turns.isMultiple(of: leastEvery)
        let allowed = WritePriority.allCases.filter { !waiting[$0.rawValue].isEmpty && isAllowed($0) }
        let chosen = isLeastsTurn ? allowed.last : allowed.first
        return chosen.map { waiting[$0.rawValue].removeFirst() }
    }

    /// Whether somebody waits who may have to wait for a row, too.
    var hasRowWaiters: Bool { WritePriority.allCases.contains { $0.waitsForRows && !waiting[$0.rawValue].isEmpty } }
}
