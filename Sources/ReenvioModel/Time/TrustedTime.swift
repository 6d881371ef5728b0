/// What the clocks of a machine say at one moment.
package struct ClockReading: Sendable, Equatable {
    package var wall: Timestamp
    /// Since the machine was started, sleep included. No setting of the wall clock moves it.
    package var sinceBoot: Duration
    /// Names this start of the machine: readings of two starts have no common monotonic clock.
    package var boot: String

    package init(wall: Timestamp, sinceBoot: Duration, boot: String) {
        self.wall = wall
        self.sinceBoot = sinceBoot
        self.boot = boot
    }
}

/// The last moment at which the wall clock was known to be good, as it stands in the store.
package struct TrustedTime: Sendable, Equatable {
    package var reading: ClockReading
    /// How often an operator has accepted a clock that could not be checked.
    package var acceptances: Int64

    package init(_ reading: ClockReading, acceptances: Int64 = 0) {
        self.reading = reading
        self.acceptances = acceptances
    }

    /// Nil for what `text` never wrote.
    package init?(_ text: String) {
        let parts = text.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, let wall = Int64(parts[0]), let sinceBoot = Int64(parts[1]),
            let acceptances = Int64(parts[2])
        else { return nil }
        self.init(
            ClockReading(
                wall: Timestamp(microseconds: wall), sinceBoot: .microseconds(sinceBoot), boot: String(parts[3])),
            acceptances: acceptances)
    }

    package var text: String {
        "\(reading.wall.microseconds) \(reading.sinceBoot.microseconds) \(acceptances) \(reading.boot)"
    }

    /// What keys, sessions, tokens and secrets end by: the wall clock where it agrees, else what the monotonic clock
    /// makes of the last good moment.
    package func expiry(at now: ClockReading) -> Timestamp {
        guard let expected = expected(at: now) else { return now.wall }
        let gap = now.wall - expected
        return gap > ClockKeeper.tolerance || gap < .zero - ClockKeeper.tolerance ? expected : now.wall
    }

    /// The wall time that the monotonic clock expects. Nil for a reading after another start of the machine.
    package func expected(at now: ClockReading) -> Timestamp? {
        guard now.boot == reading.boot, now.sinceBoot >= reading.sinceBoot else { return nil }
        return reading.wall + (now.sinceBoot - reading.sinceBoot)
    }
}

/// Judges the wall clock before anything is destroyed by it (`docs/decisions/0009-two-clocks.md`).
package struct ClockKeeper: Sendable {
    package enum Verdict: Sendable, Equatable {
        case good
        /// The machine was away, and nothing says for how long: to be believed after a while without a change.
        case unproven(expected: Timestamp)
        /// It contradicts another clock.
        case wrong(expected: Timestamp)
    }

    /// Two clocks agree within this.
    package static let tolerance: Duration = .seconds(3_600)
    /// The largest gap that is believed without an operator.
    package static let gapMax: Duration = .seconds(7 * 86_400)
    /// How long a clock with such a gap must go on unchanged before it is believed.
    package static let settling: Duration = .seconds(3_600)
    /// What counts as unchanged: clocks are slewed.
    private static let steadiness: Duration = .seconds(60)

    private struct Doubt {
        var offset: Duration
        var since: Duration
    }

    /// The last good moment; nil before the first.
    package private(set) var last: TrustedTime?
    /// Whether the machine was started again, or another one made `last`: its monotonic clock is not this one.
    private var isRebased = false
    private var doubt: Doubt?

    package init() {}

    /// What a server that starts goes by until it judges for the first time.
    package static func atStart(_ stored: TrustedTime?, _ now: ClockReading) -> TrustedTime? {
        var keeper = ClockKeeper()
        keeper.take(stored)
        _ = stored.map { _ in keeper.judge(now, server: nil) }
        return keeper.last
    }

    /// Takes in what stands in the store: at the start, and when an operator accepted a clock since.
    package mutating func take(_ stored: TrustedTime?) {
        guard let stored, last == nil || stored.acceptances > (last?.acceptances ?? 0) else { return }
        last = stored
        isRebased = false
        doubt = nil
    }

    /// - Parameter server: the time of the database that nodes share; nil without one. It may be this machine's own
    ///   clock, so it only confirms small gaps.
    package mutating func judge(_ now: ClockReading, server: Timestamp?) -> Verdict {
        guard let known = last else {
            last = TrustedTime(now)
            return .good
        }
        let expected = known.expected(at: now) ?? known.reading.wall
        if known.expected(at: now) == nil {
            last = TrustedTime(
                ClockReading(wall: expected, sinceBoot: now.sinceBoot, boot: now.boot),
                acceptances: known.acceptances)
            isRebased = true
        }
        let gap = Self.distance(now.wall, expected)
        if gap <= Self.tolerance { return accept(now) }
        guard gap <= Self.gapMax else {
            doubt = nil
            return .wrong(expected: expected)
        }
        if isRebased, let server, Self.distance(now.wall, server) <= Self.tolerance { return accept(now) }
        let offset = .microseconds(now.wall.microseconds) - now.sinceBoot
        guard let doubt, Self.magnitude(doubt.offset - offset) <= Self.steadiness else {
            doubt = Doubt(offset: offset, since: now.sinceBoot)
            return isRebased ? .unproven(expected: expected) : .wrong(expected: expected)
        }
        if now.sinceBoot - doubt.since >= Self.settling { return accept(now) }
        return isRebased ? .unproven(expected: expected) : .wrong(expected: expected)
    }

    private mutating func accept(_ now: ClockReading) -> Verdict {
        last = TrustedTime(now, acceptances: last?.acceptances ?? 0)
        isRebased = false
        doubt = nil
        return .good
    }

    private static func distance(_ left: Timestamp, _ right: Timestamp) -> Duration {
        magnitude(left - right)
    }

    private static func magnitude(_ span: Duration) -> Duration {
        span < .zero ? .zero - span : span
    }
}
