/// How many attempts at once one node makes to a receiver, learned from their outcomes. A value; it is forgotten when
/// the receiver is idle.
package struct ReceiverLoad: Sendable, Equatable {
    /// Attempts at once that a receiver of which nothing is known gets.
    package static let slotsAtFirst = 16
    /// One strained attempt among this many is no reason to slow down.
    private static let toleratedShare = 10
    /// Fewest attempts at once while the receiver acknowledges others: messages that it cannot digest must not stand in
    /// their way.
    private static let slotsWhileProven = 8

    /// Attempts at once that it may have, 1 to its ceiling.
    package private(set) var slots: Int
    private let ceiling: Int
    private var ended = 0
    private var strained = 0

    package init(ceiling: Int, slots: Int = slotsAtFirst) {
        self.ceiling = max(1, ceiling)
        self.slots = min(max(1, slots), self.ceiling)
    }

    /// Whether it gets much fewer attempts at once than a new one; with some distance between on and off.
    package func isSlow(before wasSlow: Bool) -> Bool {
        wasSlow ? slots < Self.slotsAtFirst : slots <= Self.slotsAtFirst / 4
    }

    /// Each acknowledgement adds a slot; where more than a tenth of a round is strained, they are halved, once a round.
    /// An answer about the message costs nothing, and brings a receiver that was slowed down back to the slots of a new
    /// one: its machine is well.
    /// - Parameter isProven: the receiver acknowledged something within the last minute.
    package mutating func note(_ outcome: AttemptOutcome, isProven: Bool = false) {
        ended += 1
        if outcome == .acknowledged {
            slots = min(slots + 1, ceiling)
        } else if outcome.signal == .message {
            slots = max(slots, min(slots + 1, Self.slotsAtFirst, ceiling))
        } else if Self.isStrained(outcome) {
            strained += 1
            if strained * Self.toleratedShare >= slots {
                slots = max(isProven ? min(Self.slotsWhileProven, slots) : 1, slots / 2)
                (ended, strained) = (0, 0)
            }
        }
        if ended >= slots { (ended, strained) = (0, 0) }
    }

    /// Half of its slots, for reasons that are not its own.
    package mutating func yield() {
        slots = max(1, slots / 2)
    }

    /// Whether the machine has too much to do: fewer attempts at once may help. They do not help against a certificate
    /// or an address that is refused.
    private static func isStrained(_ outcome: AttemptOutcome) -> Bool {
        switch outcome {
        case .acknowledged: false
        case .answered: outcome.signal == .machine
        case .failed(let failure):
            switch failure {
            case .timedOut, .connectionRefused, .connectionFailed, .connectionReset, .nameNotResolved: true
            default: false
            }
        }
    }
}
