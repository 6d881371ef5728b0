/// Whether a receiver's machine works, judged by the outcomes of attempts (`docs/contract.md` 3.4). A value: each node
/// keeps one per receiver and tells all nodes what follows from it.
package struct MachineHealth: Sendable, Equatable {
    /// Failures of the machine in a row that open a breaker; never fewer.
    package static let failuresToOpen = 10
    /// After an acknowledgement the machine counts as working for this long, whatever fails meanwhile: single messages
    /// that a working receiver cannot digest must not stop the others.
    package static let provenFor: Duration = .seconds(60)
    /// An acknowledgement is told to all nodes at most this often.
    private static let toldEvery: Duration = .seconds(20)

    package enum Verdict: Sendable, Equatable {
        /// Nothing that other nodes must know.
        case nothing
        /// The machine works although it failed lately: the other nodes, and this one after a restart, must know.
        case proven
        /// The breaker opens.
        case broken
    }

    /// Failures of the machine since it last gave any other sign.
    package private(set) var failuresInARow = 0
    /// Engine times.
    private var acknowledgedAt: Timestamp?
    private var failedAt: Timestamp?
    private var toldAt: Timestamp?

    package init() {}

    /// Takes in the outcome of an attempt that did not go through an open breaker. `now` is engine time.
    package mutating func note(_ signal: AttemptOutcome.Signal, at now: Timestamp) -> Verdict {
        switch signal {
        case .message:
            failuresInARow = 0
            return .nothing
        case .acknowledged:
            failuresInARow = 0
            acknowledgedAt = now
            guard Self.isWithin(Self.provenFor, failedAt, now), !Self.isWithin(Self.toldEvery, toldAt, now) else {
                return .nothing
            }
            toldAt = now
            return .proven
        case .machine:
            failuresInARow += 1
            failedAt = now
            return failuresInARow >= Self.failuresToOpen && !isProven(at: now) ? .broken : .nothing
        }
    }

    package func isProven(at now: Timestamp) -> Bool { Self.isProven(acknowledgedAt, at: now) }

    /// Whether an acknowledgement is so recent that failures open no breaker.
    package static func isProven(_ acknowledgedAt: Timestamp?, at now: Timestamp) -> Bool {
        isWithin(provenFor, acknowledgedAt, now)
    }

    private static func isWithin(_ span: Duration, _ moment: Timestamp?, _ now: Timestamp) -> Bool {
        guard let moment else { return false }
        return now - moment < span
    }
}
