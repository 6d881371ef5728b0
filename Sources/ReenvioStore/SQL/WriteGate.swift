import Synchronization

/// Who may write next, in order of right (`docs/architecture.md`, rule 6).
package enum WritePriority: Int, Sendable, CaseIterable {
    case intake, outcomes, claims, chunks, janitor, bulk
}

/// Lets one writer in at a time; among those who wait the one with the greatest right goes first, the longest waiting
/// first among equals. A write is bounded, so nobody waits longer than the writes of those before it.
package final class WriteGate: Sendable {
    private struct State {
        var isOccupied = false
        var handovers = 0
        var waiting: [[CheckedContinuation<Void, Never>]] = WritePriority.allCases.map { _ in [] }
    }

    /// Every so many handovers the least right goes first, so that a saturated writer still gets round to everybody.
    private static let leastEvery = 16

    private let state = Mutex(State())

    package init() {}

    package func enter(_ priority: WritePriority) async {
        await withCheckedContinuation { continuation in
            let isFree = state.withLock { state in
                if state.isOccupied {
                    state.waiting[priority.rawValue].append(continuation)
                    return false
                }
                state.isOccupied = true
                return true
            }
            if isFree { continuation.resume() }
        }
    }

    /// How many wait to write.
    package var waitingCount: Int {
        state.withLock { $0.waiting.reduce(0) { $0 + $1.count } }
    }

    package func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            let occupied = state.waiting.indices.filter { !state.waiting[$0].isEmpty }
            state.handovers += 1
            let isLeastsTurn = state.handovers.isMultiple(of: Self.leastEvery)
            guard let chosen = isLeastsTurn ? occupied.last : occupied.first else {
                state.isOccupied = false
                return nil
            }
            return state.waiting[chosen].removeFirst()
        }
        next?.resume()
    }
}
