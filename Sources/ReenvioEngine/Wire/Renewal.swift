/// When a pool gives up its connections because the machine behind them failed. A value, under the pool's lock.
///
/// A machine that only fails is dialed anew each time: the few attempts at once that it then gets, and its breaker,
/// bound how often. One that fails now and then among good answers is dialed anew once in a while, so that one failure
/// in ten at full speed costs a few connections a second and not one each.
struct Renewal {
    private var renewedAt: ContinuousClock.Instant?
    private var answeredSince = false
    /// The last exchange failed, and nothing was renewed for it yet.
    private(set) var isWaiting = false

    mutating func failed() {
        isWaiting = true
    }

    /// The machine answered as a well one does.
    mutating func answered() {
        answeredSince = true
        isWaiting = false
    }

    func isDue(now: ContinuousClock.Instant, every pause: Duration) -> Bool {
        guard isWaiting else { return false }
        guard answeredSince, let renewedAt else { return true }
        return now - renewedAt >= pause
    }

    /// Whether it is so recent that the pool must remember it, even without a connection.
    func isRecent(now: ContinuousClock.Instant, every pause: Duration) -> Bool {
        renewedAt.map { now - $0 < pause } ?? false
    }

    mutating func began(now: ContinuousClock.Instant) {
        renewedAt = now
        answeredSince = false
        isWaiting = false
    }
}
