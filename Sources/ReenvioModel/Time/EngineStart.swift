/// Where engine time begins when a server starts (`docs/decisions/0009-two-clocks.md`).
package enum EngineStart {
    /// Up to this far from the stored time it makes no difference to a lease whether another node is running.
    package static let tolerance: Duration = .seconds(5)

    /// Whether it matters that other nodes are running: their leases count by their engine time.
    /// - Parameters:
    ///   - reference: the clock that engine time follows, of this machine or of the database.
    ///   - stored: the highest engine time in the store; nil where none was ever stored.
    package static func asksNodes(reference: Timestamp, stored: Timestamp?) -> Bool {
        guard let stored else { return false }
        return reference - stored > tolerance || stored - reference > tolerance
    }

    /// That of running nodes where there are any; else never earlier than any before, so that nothing stored has a due
    /// time that was reached already and is in the future again.
    /// - Parameter running: what a running node answered; nil without an answer.
    package static func choose(reference: Timestamp, stored: Timestamp?, running: Timestamp?) -> Timestamp {
        if let running { return running }
        return stored.map { max(reference, $0) } ?? reference
    }

    /// The latest due time, lease or hold that a schedule explains, counted from `now`; what lies beyond was written by
    /// a clock that was ahead.
    package static func farthest(from now: Timestamp, schedule: RetrySchedule) -> Timestamp {
        let waits = (schedule.waits + RetrySchedule.logResend.waits + [RetryAfter.longest]).max() ?? .zero
        return now + waits + waits / 10 + .seconds(Limits.leaseSeconds) + slack
    }

    /// Nodes agree on engine time to much less than this.
    private static let slack: Duration = .seconds(600)
}
