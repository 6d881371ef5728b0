/// How many deliveries of resends a node begins while live changes come in: a few at a time, so that a live one never
/// waits for a large commit, and no more than leave the machine room for it. A receiver that takes its time is not
/// slowed by this: what is in flight to it is bounded elsewhere. A value; times are engine times.
package struct ResendPace: Sendable {
    /// Deliveries begun in one claim.
    package static let atOnce = 4
    package static let perSecond: Int64 = 2_500
    /// The time after which one more may begin.
    private static let each: Duration = .microseconds(1_000_000 / perSecond)

    private var free = atOnce
    private var countedAt: Timestamp?

    package init() {}

    /// What may begin now.
    package mutating func allowance(now: Timestamp) -> Int {
        guard let before = countedAt, now >= before else {
            countedAt = now
            return free
        }
        let more = (now - before).microseconds / Self.each.microseconds
        if free + Int(more) >= Self.atOnce {
            (free, countedAt) = (Self.atOnce, now)
        } else {
            free += Int(more)
            countedAt = before + .microseconds(more * Self.each.microseconds)
        }
        return free
    }

    package mutating func took(_ count: Int) {
        free = max(0, free - count)
    }
}
