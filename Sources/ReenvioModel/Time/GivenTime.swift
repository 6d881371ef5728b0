/// A moment at the precision at which it was written: whole seconds, milliseconds, down to microseconds. It is compared
/// with a stored moment at that precision, because the rest of it is unknown (`docs/contract.md` 1.2).
package struct GivenTime: Hashable, Sendable {
    /// The first moment of what was written.
    package var moment: Timestamp
    /// From it to the next moment of the same precision, in microseconds: 1,000,000 for whole seconds, at least 1.
    package var step: Int64

    package init(_ moment: Timestamp, step: Int64 = 1) {
        self.moment = moment
        self.step = step
    }

    /// Whether it lies before `other`, as far as its precision tells.
    package func isEarlier(than other: Timestamp) -> Bool {
        moment < other.rounded(down: step)
    }

    /// The moment, raised to `other` where both are the same at this precision.
    package func raised(to other: Timestamp) -> Timestamp {
        isEarlier(than: other) ? moment : max(moment, other)
    }

    /// The rule of dates that the platform gives (`docs/contract.md` 1.2).
    package func isTooFarAhead(of now: Timestamp) -> Bool {
        moment > now + .seconds(Limits.occurredAheadSeconds)
    }
}

extension Timestamp {
    /// The last multiple of `step` microseconds that is not later.
    fileprivate func rounded(down step: Int64) -> Timestamp {
        let rest = microseconds % step
        return Timestamp(microseconds: microseconds - (rest < 0 ? rest + step : rest))
    }
}
