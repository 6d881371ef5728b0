/// How many requests a credential may make (`docs/contract.md` 10): a bucket of N at once, refilled evenly.
package struct RateLimits: Sendable, Equatable {
    /// What is counted together.
    package enum Kind: String, Sendable, CaseIterable {
        /// Reads, dry runs included.
        case read
        /// Resends that dispatch.
        case resend
        /// Changes of how things run: pauses, rotations, cancels of resends, registrations, moves. Not payouts, which
        /// are the traffic.
        case write
        /// Sign-ins that succeed.
        case signIn = "sign-in"
        /// People's data that the dashboard is asked to show.
        case reveal
    }

    /// Requests per minute; a kind that is absent is not limited.
    package var perMinute: [Kind: Int]

    package static let defaultText = "resend=30/min,read=600/min,write=120/min,sign-in=30/min,reveal=60/min"
    package static let standard = RateLimits(
        perMinute: [.resend: 30, .read: 600, .write: 120, .signIn: 30, .reveal: 60])
    package static let off = RateLimits(perMinute: [:])

    package init(perMinute: [Kind: Int]) {
        self.perMinute = perMinute
    }

    /// Reads `resend=30/min,read=600/min` or `off`. A kind that is left out keeps its default.
    package init?(_ text: String) {
        if text == "off" {
            self = .off
            return
        }
        var limits = Self.standard
        var seen: Set<Kind> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false).map(String.init)
            guard sides.count == 2, let kind = Kind(rawValue: sides[0].filter { $0 != " " }),
                seen.insert(kind).inserted,
                sides[1].hasSuffix("/min"), let count = Int(sides[1].dropLast(4)), (1...1_000_000).contains(count)
            else { return nil }
            limits.perMinute[kind] = count
        }
        self = limits
    }
}

/// A bucket of tokens, refilled evenly. A value: time comes in with each question.
package struct TokenBucket: Sendable {
    /// One token, in units of which `perMinute` come in each microsecond, so that whole numbers suffice.
    private static let token: Int64 = 60_000_000

    private let perMinute: Int64
    private var credit: Int64
    private var filledAt: Timestamp

    package init(perMinute: Int, now: Timestamp) {
        self.perMinute = Int64(perMinute)
        credit = Int64(perMinute) * Self.token
        filledAt = now
    }

    /// Takes one token; nil when it could, else how long until there is one, rounded up to whole seconds.
    package mutating func take(now: Timestamp) -> Int64? {
        refill(now)
        if credit >= Self.token {
            credit -= Self.token
            return nil
        }
        let microseconds = (Self.token - credit + perMinute - 1) / perMinute
        return max(1, (microseconds + 999_999) / 1_000_000)
    }

    /// Whether it is as full as a new one, so that it may be forgotten.
    package func isFull(now: Timestamp) -> Bool {
        var copy = self
        copy.refill(now)
        return copy.credit == perMinute * Self.token
    }

    private mutating func refill(_ now: Timestamp) {
        let elapsed = min(max(0, (now - filledAt).microseconds), Self.token)
        credit = min(perMinute * Self.token, credit + elapsed * perMinute)
        filledAt = max(filledAt, now)
    }
}
