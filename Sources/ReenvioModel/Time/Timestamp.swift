/// A moment, in whole microseconds since 1970-01-01T00:00:00Z. The product has no other type for moments.
package struct Timestamp: Hashable, Comparable, Sendable {
    package var microseconds: Int64

    package init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    package init(seconds: Int64) {
        microseconds = seconds * 1_000_000
    }

    /// Whole seconds, rounded down: what the outside sees and windows compare (`docs/contract.md` 4.2).
    package var seconds: Int64 {
        microseconds >= 0 ? microseconds / 1_000_000 : (microseconds - 999_999) / 1_000_000
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool {
        left.microseconds < right.microseconds
    }

    package static func + (moment: Timestamp, span: Duration) -> Timestamp {
        Timestamp(microseconds: moment.microseconds + span.microseconds)
    }

    package static func - (moment: Timestamp, span: Duration) -> Timestamp {
        Timestamp(microseconds: moment.microseconds - span.microseconds)
    }

    package static func - (left: Timestamp, right: Timestamp) -> Duration {
        .microseconds(left.microseconds - right.microseconds)
    }
}

extension Duration {
    /// Whole microseconds, rounded towards zero.
    package var microseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }

    package var milliseconds: Int64 {
        microseconds / 1_000
    }
}
