/// How long each kind of row is kept (`docs/contract.md` 14). Payouts are kept for ever.
package struct Retention: Sendable, Equatable {
    package enum Kind: String, Sendable, CaseIterable {
        /// People's data: beneficiaries and PIX fields.
        case parties
        case attempts
        /// Deliveries that have ended, however.
        case deliveries
        /// What receivers answered; the attempts themselves stay.
        case answers
        /// Ended resends.
        case resends
        case audit
    }

    private static let daysMax: Int64 = 36_500

    package private(set) var seconds: [Kind: Int64]

    package static let defaultText = "parties=400d,attempts=30d,deliveries=400d,answers=30d,resends=90d,audit=400d"
    package static let standard = Retention(seconds: [
        .parties: 400 * 86_400, .attempts: 30 * 86_400, .deliveries: 400 * 86_400, .answers: 30 * 86_400,
        .resends: 90 * 86_400,
        .audit: 400 * 86_400,
    ])

    private init(seconds: [Kind: Int64]) {
        self.seconds = seconds
    }

    /// Reads `attempts=30d,answers=7d`; units s, m, h and d. A kind that is left out keeps its default. Resends are
    /// kept at least as long as their status page shows them, and ended deliveries as long as resends.
    package init?(_ text: String) {
        var retention = Self.standard
        var seen: Set<Kind> = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let sides = part.split(separator: "=", omittingEmptySubsequences: false)
            guard sides.count == 2, let kind = Kind(rawValue: sides[0].filter { $0 != " " }),
                seen.insert(kind).inserted,
                let seconds = DurationText.seconds(sides[1], maxDays: Self.daysMax), seconds > 0
            else { return nil }
            retention.seconds[kind] = seconds
        }
        let resends = retention.seconds[.resends, default: 0]
        if !seen.contains(.deliveries) {
            retention.seconds[.deliveries] = max(resends, Self.standard.seconds[.deliveries, default: 0])
        }
        guard resends >= Limits.resendShownSeconds, retention.seconds[.deliveries, default: 0] >= resends else {
            return nil
        }
        self = retention
    }

    /// Rows of the kind from before this moment may go.
    package func cutoff(_ kind: Kind, now: Timestamp) -> Timestamp {
        now - .seconds(seconds[kind, default: 0])
    }

    /// Whether answers go before the attempts they belong to.
    package var dropsAnswersFirst: Bool {
        seconds[.answers, default: 0] < seconds[.attempts, default: 0]
    }
}
