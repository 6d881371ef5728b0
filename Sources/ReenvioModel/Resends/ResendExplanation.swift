/// A dry run that explains itself (`docs/contract.md` 13.7): every number counts matched payouts, or payouts of the
/// window that do not match.
package struct ResendExplanation: Equatable, Sendable {
    package struct ReceiverShare: Equatable, Sendable {
        package var origin: String
        package var total: Int64
        package var health: ReceiverHealth

        package init(origin: String, total: Int64, health: ReceiverHealth) {
            self.origin = origin
            self.total = total
            self.health = health
        }
    }

    /// Each payout of the window that does not match, once; the first reason in this order.
    package struct NotMatched: Equatable, Sendable {
        package var noURL: Int64 = 0
        package var notNotifiableNow: Int64 = 0
        package var otherStatus: Int64 = 0
        /// Nil unless only unacknowledged ones were asked for.
        package var acknowledged: Int64?

        package init() {}
    }

    package struct StatusShare: Equatable, Sendable {
        package var id: Int64
        package var total: Int64

        package init(id: Int64, total: Int64) {
            self.id = id
            self.total = total
        }
    }

    package var total: Int64
    /// Statuses that match something, ascending.
    package var byStatus: [StatusShare]
    /// Those with most matched payouts first; no more than `Limits.explainedReceivers`.
    package var byReceiver: [ReceiverShare]
    /// Matched payouts at receivers that are not listed.
    package var others: Int64
    package var estimatedSeconds: Int64
    package var notMatched: NotMatched

    package init(
        total: Int64, byStatus: [StatusShare], byReceiver: [ReceiverShare], others: Int64,
        estimatedSeconds: Int64, notMatched: NotMatched
    ) {
        self.total = total
        self.byStatus = byStatus
        self.byReceiver = byReceiver
        self.others = others
        self.estimatedSeconds = estimatedSeconds
        self.notMatched = notMatched
    }

    /// How long a job takes about, whose receivers answer as they did lately: at its own pace, no faster than a node
    /// resends beside live changes, and no faster than its busiest receiver takes it. Rounded up.
    /// - Parameter latency: how long this merchant's attempts took lately; nil where there were none.
    package static func estimate(
        total: Int64, maxPerSecond: Int64?, busiest: Int64, latency: Duration?
    ) -> Int64 {
        let perSecond = min(maxPerSecond ?? .max, ResendPace.perSecond)
        let byPace = (total + perSecond - 1) / perSecond
        let microseconds = busiest.multipliedReportingOverflow(by: latency?.microseconds ?? 0)
        guard !microseconds.overflow else { return byPace }
        let each = Int64(Limits.connectionsPerReceiver) * 1_000_000
        return max(byPace, (microseconds.partialValue + each - 1) / each)
    }

    package func write(into writer: inout JSONWriter) {
        writer.object("explain") { writer in
            writer.object("by_status") { writer in
                for status in byStatus { writer.member(String(status.id), status.total) }
            }
            writer.array("by_receiver") { writer in
                for share in byReceiver {
                    writer.object { writer in
                        writer.member("receiver", share.origin)
                        writer.member("total", share.total)
                        writer.member("health", share.health.rawValue)
                    }
                }
            }
            if others > 0 { writer.member("others", others) }
            writer.member("estimated_seconds", estimatedSeconds)
            writer.object("not_matched") { writer in
                writer.member("no_url", notMatched.noURL)
                writer.member("not_notifiable_now", notMatched.notNotifiableNow)
                writer.member("other_status", notMatched.otherStatus)
                if let acknowledged = notMatched.acknowledged { writer.member("acknowledged", acknowledged) }
            }
        }
    }
}
