/// How many attempts of resends at once a receiver gets: few at first, more while it answers as well and as quickly as
/// before, half at the first sign of trouble (`docs/architecture.md`, rule 5). What is resent was mostly missed because
/// the receiver was down, and whoever just got up again is easily knocked over. A value; forgotten when nothing was
/// resent for a while, so that the next job starts slowly, too.
package struct ResendRamp: Equatable, Sendable {
    package static let slotsAtFirst = 4
    /// A ramp without attempts for so long is forgotten.
    package static let rests: Duration = .seconds(30)
    /// So much longer than before says nothing, in microseconds.
    private static let slack: Double = 100_000
    /// Answers before which nothing is known of a receiver's latency.
    private static let learning = 16

    /// Attempts of resends at once, 1 to the ceiling.
    package private(set) var slots: Int
    private let ceiling: Int
    /// Up to so many it grows with each acknowledgement, doubling each round; beyond it by one a round.
    private var threshold: Int
    /// The mean latency lately, and what it mostly was when few attempts ran at once, in microseconds. That one follows
    /// downwards as the mean does, and upwards slowly: a lucky answer must not hold a receiver down for good.
    private var latency: Double?
    private var base: Double = 0
    private var answers = 0
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
        answers += 1
        if answers <= Self.learning {
            base = mean
        } else {
            base += (mean - base) / (mean < base ? 8 : 2_048)
        }
        if mean <= 2 * base + Self.slack {
            if slots < threshold || isRoundOver { slots = min(slots + 1, ceiling) }
        } else if mean <= 4 * base + 4 * Self.slack {
            // Twice as slow as it can be: no more for now, and then one a round.
            threshold = min(threshold, slots)
        } else if isRoundOver {
            // Far slower: fewer.
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
