/// What one attempt came to, classified.
package enum AttemptOutcome: Equatable, Sendable {
    /// Exactly 200: nothing else acknowledges (`docs/contract.md` 3.3).
    case acknowledged
    case answered(statusCode: Int, retryAfter: String?)
    case failed(AttemptFailure)

    package init(statusCode: Int, retryAfter: String?) {
        self = statusCode == 200 ? .acknowledged : .answered(statusCode: statusCode, retryAfter: retryAfter)
    }

    package var statusCode: Int? {
        switch self {
        case .acknowledged: 200
        case .answered(let statusCode, _): statusCode
        case .failed: nil
        }
    }

    /// How long the receiver asked to be left alone: `Retry-After` of a 429 or 503 (`docs/contract.md` 3.4).
    package func hold(now: Timestamp) -> Duration? {
        guard case .answered(let statusCode, let retryAfter) = self, statusCode == 429 || statusCode == 503 else {
            return nil
        }
        return RetryAfter.wait(retryAfter, now: now)
    }

    /// Of what an outcome speaks (`docs/contract.md` 3.4). The two kinds of failure are never mixed: only those of the
    /// machine open a breaker, fail a probe, or make the next attempt dial anew.
    package enum Signal: Sendable, Equatable {
        case acknowledged
        /// Any other answer: the machine is well, and refuses this message.
        case message
        /// The machine was not reached, did not answer in time, or said that it is in trouble: 5xx, 408, 425, 429.
        case machine
    }

    package var signal: Signal {
        switch self {
        case .acknowledged: .acknowledged
        case .answered(let statusCode, _):
            statusCode >= 500 || [408, 425, 429].contains(statusCode) ? .machine : .message
        case .failed: .machine
        }
    }

    /// The word for the attempt row, API, log and metric; nil on success.
    package var reason: AttemptFailure? {
        switch self {
        case .acknowledged: nil
        case .answered(statusCode: 410, _): .gone
        case .answered: .httpStatus
        case .failed(let failure): failure
        }
    }
}

/// The states in which a delivery can end (`docs/contract.md` 13.10).
package enum DeliveryEnd: String, Sendable {
    case acknowledged
    /// The schedule is used up; only a resend revives it.
    case exhausted
    /// A 410: the receiver asked for no more.
    case stopped
    case skipped
}

package enum Delivery {
    /// What becomes of a delivery after an attempt.
    package enum Next: Equatable, Sendable {
        case end(DeliveryEnd)
        case retry(after: Duration)
    }

    /// The only place that decides a next state (`docs/contract.md` 3.4). `attempt` counts from 1; waits run from the
    /// end of the attempt; `now` is wall time and reads a `Retry-After` date.
    package static func after(
        _ outcome: AttemptOutcome, attempt: Int, schedule: RetrySchedule, now: Timestamp,
        using generator: inout some RandomNumberGenerator
    ) -> Next {
        switch outcome {
        case .acknowledged:
            return .end(.acknowledged)
        case .answered(statusCode: 410, _):
            return .end(.stopped)
        case .answered, .failed:
            guard let step = schedule.wait(afterAttempt: attempt, using: &generator) else { return .end(.exhausted) }
            return .retry(after: max(step, outcome.hold(now: now) ?? .zero))
        }
    }
}
