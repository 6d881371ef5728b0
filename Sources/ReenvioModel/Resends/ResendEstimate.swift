/// How long a job would take, or why that cannot be known (`docs/contract.md` 13.7). Pure: what is known of the
/// receivers comes in as values.
package struct ResendEstimate: Equatable, Sendable {
    /// One receiver of the job.
    package struct Share: Equatable, Sendable {
        package var origin: String
        /// Payouts that would be sent to it.
        package var total: Int64
        package var health: ReceiverHealth
        /// The mean duration of its last attempts; nil where there were none.
        package var latency: Duration?
        /// How much longer it asked to be left alone (`Retry-After`).
        package var hold: Duration?

        package init(
            origin: String, total: Int64, health: ReceiverHealth, latency: Duration? = nil, hold: Duration? = nil
        ) {
            self.origin = origin
            self.total = total
            self.health = health
            self.latency = latency
            self.hold = hold
        }

        /// What keeps its time from being known; nil where nothing does.
        var wait: Wait.Reason? {
            switch health {
            case .paused: .paused
            case .broken: .broken
            case .ok, .slow: (hold ?? .zero) > .seconds(Limits.holdEstimatedSeconds) ? .held : nil
            }
        }

        /// Its own time: hold, then its deliveries over its slots. A slow one has few slots, a healthy one is given
        /// more with each acknowledgement.
        fileprivate var seconds: Int64 {
            // At most a quarter of what a new receiver gets makes it slow.
            let slots = Int64(health == .slow ? ReceiverLoad.slotsAtFirst / 4 : Limits.connectionsPerReceiver)
            let microseconds = total.multipliedReportingOverflow(by: latency?.microseconds ?? 0)
            guard !microseconds.overflow else { return .max / 2 }
            let each = slots * 1_000_000
            return Self.roundedUp(microseconds.partialValue, each) + Self.roundedUp(hold?.microseconds ?? 0, 1_000_000)
        }

        private static func roundedUp(_ value: Int64, _ unit: Int64) -> Int64 {
            value <= 0 ? 0 : (value - 1) / unit + 1
        }
    }

    /// A receiver that makes an estimate impossible.
    package struct Wait: Equatable, Sendable {
        package enum Reason: String, Sendable, CaseIterable {
            case paused = "receiver_paused"
            case broken = "receiver_broken"
            case held = "receiver_held"
        }

        package var origin: String
        package var reason: Reason

        package init(origin: String, reason: Reason) {
            self.origin = origin
            self.reason = reason
        }

        package var sentence: String {
            switch reason {
            case .paused: "\(origin) is paused"
            case .broken: "\(origin) is broken"
            case .held: "\(origin) asked to be left alone"
            }
        }
    }

    /// Nil where it cannot be known.
    package var seconds: Int64?
    /// Why not: at least one where `seconds` is nil, at most `Limits.explainedReceivers`.
    package var waits: [Wait]

    package init(seconds: Int64?, waits: [Wait] = []) {
        self.seconds = seconds
        self.waits = waits
    }

    /// At the job's own pace, no faster than a node resends beside live changes, no faster than the slowest of its
    /// receivers takes its share, and after the first wait of the retry schedule. Rounded up.
    package init(maxPerSecond: Int64?, firstWait: Duration, _ shares: [Share]) {
        let shares = shares.filter { $0.total > 0 }
        waits = shares.compactMap { share in share.wait.map { Wait(origin: share.origin, reason: $0) } }
        guard waits.isEmpty else {
            waits = Array(waits.prefix(Limits.explainedReceivers))
            return
        }
        let total = shares.reduce(0) { $0 + $1.total }
        let perSecond = min(maxPerSecond ?? .max, ResendPace.perSecond)
        let byPace = total / perSecond + (total % perSecond == 0 ? 0 : 1)
        let wait = total == 0 ? 0 : (firstWait.microseconds + 999_999) / 1_000_000
        seconds = max(byPace, shares.map(\.seconds).max() ?? 0) + wait
    }

    /// In a sentence of its own.
    package var sentence: String {
        if let seconds { return "Sending them takes about \(seconds) s." }
        return "How long it takes cannot be estimated: \(waits.map(\.sentence).joined(separator: ", "))."
    }
}
