/// How many attempts of resends at once a receiver gets: few at first, more while it answers as well and as quickly as
/// before, half at the first sign of trouble (`docs/architecture.md`, rule 5). What is resent was mostly missed because
/// the receiver was down, and whoever just got up again is easily knocked over. A value; forgotten when nothing was
/// resent for a while, so that the next job starts slowly, too.
package struct ResendRamp: Equatable, Sendable {
    package static let slotsAtFirst = 4
    /// A ramp without attempts for so long is forgotten.
    package static let rests: Duration = .seconds(30)
    /// Latencies below this are fine whatever they were before, in microseconds.
    private static let quick: Double = 25_000

    /// Attempts of resends at once, 1 to the ceiling.
    package private(set) var slots: Int
    private let ceiling: Int
    /// Up to so many it grows with each acknowledgement, doubling each round; beyond it by one a round.
    private var threshold: Int
    /// The mean latency lately, and the least it ever was, in microseconds.
    private var latency: Double?
    private var base: Double = .infinity
    /// Attempts that ended since the round began; a round is as many as there are slots.
    private var ended = 0
    /// Whether this round was halved already: what was in flight then fails for the same reason.
    private var isHalved = false

    package init(ceiling: Int) {
        self.ceiling = max(1, ceiling)
        slots = min(Self.slotsAtFirst, self.ceiling)
        threshold = self.ceiling
    }

    package mutating func note(_ outcome: AttemptOutcome, took duration: Duration) {
        ended += 1
        if Self.isOverload(outcome), !isHalved {
            slots = max(1, slots / 2)
            threshold = slots
            (ended, isHalved) = (0, true)
            return
        }
        let isRoundOver = ended >= slots
        if outcome == .acknowledged { adapt(to: Double(duration.microseconds), isRoundOver) }
        if isRoundOver { (ended, isHalved) = (0, false) }
    }

    private mutating func adapt(to microseconds: Double, _ isRoundOver: Bool) {
        let mean = latency.map { $0 + (microseconds - $0) / 8 } ?? microseconds
        latency = mean
        base = min(base, mean)
        if mean <= max(2 * base, Self.quick) {
            if slots < threshold || isRoundOver { slots = min(slots + 1, ceiling) }
        } else if mean > max(4 * base, 4 * Self.quick), isRoundOver {
            // Twice as slow as it can be: no more at once; far slower: fewer.
            slots = max(1, slots - slots / 4)
            threshold = slots
        }
    }

    /// 429, 503, and whatever took too long.
    private static func isOverload(_ outcome: AttemptOutcome) -> Bool {
        switch outcome {
        case .acknowledged: false
        case .answered(let statusCode, _): statusCode == 429 || statusCode == 503
        case .failed(let failure): failure == .timedOut
        }
    }
}
