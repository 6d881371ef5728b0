/// What one node has learned of a receiver from its attempts: how many at once it bears, and whether it fails in a row.
/// A value; it is forgotten when the receiver is idle.
package struct ReceiverLoad: Sendable, Equatable {
    /// How an attempt speaks of the receiver itself.
    package enum Sign: Sendable, Equatable {
        case healthy
        /// Too much or too slow: time-outs, lost or refused connections, 5xx and 429.
        case strained
        /// It answers well, only not with what was hoped for.
        case neutral
    }

    /// Attempts at once that a receiver of which nothing is known gets.
    package static let slotsAtFirst = 16
    /// One strained attempt among so many is no reason to slow down.
    private static let toleratedShare = 10

    /// Attempts at once that it may have, 1 to its ceiling.
    package private(set) var slots: Int
    /// Attempts in a row that were not acknowledged.
    package private(set) var failuresInARow = 0
    private let ceiling: Int
    private var ended = 0
    private var strained = 0

    package init(ceiling: Int, slots: Int = slotsAtFirst) {
        self.ceiling = max(1, ceiling)
        self.slots = min(max(1, slots), self.ceiling)
    }

    /// Whether so many failures in a row have come that its breaker opens.
    package var isBroken: Bool { failuresInARow >= Breaker.failuresToOpen }

    /// Whether it gets much fewer attempts at once than a new one; with some distance between on and off.
    package func isSlow(before wasSlow: Bool) -> Bool {
        wasSlow ? slots < Self.slotsAtFirst : slots <= Self.slotsAtFirst / 4
    }

    /// Each acknowledgement adds a slot; where more than a tenth of a round is strained, they are halved, once a round.
    package mutating func note(_ outcome: AttemptOutcome) {
        failuresInARow = outcome == .acknowledged ? 0 : failuresInARow + 1
        ended += 1
        switch Self.sign(of: outcome) {
        case .healthy:
            slots = min(slots + 1, ceiling)
        case .strained:
            strained += 1
            if strained * Self.toleratedShare >= slots {
                slots = max(1, slots / 2)
                (ended, strained) = (0, 0)
            }
        case .neutral: break
        }
        if ended >= slots { (ended, strained) = (0, 0) }
    }

    /// Half of its slots, for reasons that are not its own.
    package mutating func yield() {
        slots = max(1, slots / 2)
    }

    package static func sign(of outcome: AttemptOutcome) -> Sign {
        switch outcome {
        case .acknowledged: .healthy
        case .answered(let statusCode, _): statusCode >= 500 || statusCode == 429 ? .strained : .neutral
        case .failed(let failure):
            switch failure {
            case .timedOut, .connectionRefused, .connectionFailed, .connectionReset, .nameNotResolved: .strained
            default: .neutral
            }
        }
    }
}
