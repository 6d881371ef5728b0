/// The payouts of a job that go first, and what became of them (`docs/contract.md` 13.14).
package struct Canary: Equatable, Sendable {
    package enum Verdict: Equatable, Sendable {
        case undecided
        /// The rest follows.
        case passed
        /// The job ends with this reason.
        case failed(reason: String)
    }

    private static let percentToPass: Int64 = 95

    /// Enqueued.
    package var queued: Int64
    package var acknowledged: Int64
    /// Stopped or exhausted.
    package var undelivered: Int64
    /// Not to be sent any more; they say nothing.
    package var skipped: Int64
    /// Still open, and their second attempt has failed.
    package var failedTwice: Int64
    /// Still open, not failed twice, at receivers that a breaker holds back and that failed its probes, too: those
    /// that have failed once, and those that were never tried.
    package var failedBehindBreaker: Int64
    package var untriedBehindBreaker: Int64

    package init(
        queued: Int64, acknowledged: Int64, undelivered: Int64, skipped: Int64, failedTwice: Int64,
        failedBehindBreaker: Int64, untriedBehindBreaker: Int64
    ) {
        self.queued = queued
        self.acknowledged = acknowledged
        self.undelivered = undelivered
        self.skipped = skipped
        self.failedTwice = failedTwice
        self.failedBehindBreaker = failedBehindBreaker
        self.untriedBehindBreaker = untriedBehindBreaker
    }

    /// Decided when each canary is acknowledged, stopped or has failed twice. Also when all that are left wait behind
    /// open breakers, which would try them one by one for hours, and too many of them have failed already.
    package var verdict: Verdict {
        let asked = queued - skipped
        let lost = undelivered + failedTwice
        let open = asked - acknowledged - lost
        if open > 0 {
            let canStillPass = Self.isEnough(asked - lost - failedBehindBreaker, of: asked)
            guard !canStillPass, failedBehindBreaker + untriedBehindBreaker == open else { return .undecided }
        }
        if Self.isEnough(acknowledged, of: asked) { return .passed }
        return .failed(reason: "Canary failed: \(acknowledged) of \(asked) acknowledged.")
    }

    private static func isEnough(_ acknowledged: Int64, of asked: Int64) -> Bool {
        acknowledged * 100 >= asked * percentToPass
    }
}
