/// A dry run that explains itself (`docs/contract.md` 13.7): every number counts matched payouts, or payouts of the
/// window that do not match.
package struct ResendExplanation: Equatable, Sendable {
    package struct ReceiverShare: Equatable, Sendable {
        package var origin: String
        package var total: Int64
        package var health: ReceiverHealth
        /// The address rules refuse it: what goes there would fail (`docs/contract.md` 5).
        package var isRefused: Bool

        package init(origin: String, total: Int64, health: ReceiverHealth, isRefused: Bool = false) {
            self.origin = origin
            self.total = total
            self.health = health
            self.isRefused = isRefused
        }

        package var healthWord: String { isRefused ? "refused" : health.rawValue }
    }

    /// Matched payouts that a job would count as `failed`, each once.
    package struct WouldFail: Equatable, Sendable {
        package var erased: Int64 = 0
        package var addressForbidden: Int64 = 0

        package init(erased: Int64 = 0, addressForbidden: Int64 = 0) {
            self.erased = erased
            self.addressForbidden = addressForbidden
        }

        package var total: Int64 { erased + addressForbidden }
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
    package var wouldFail: WouldFail
    package var estimate: ResendEstimate
    package var notMatched: NotMatched

    package init(
        total: Int64, byStatus: [StatusShare], byReceiver: [ReceiverShare], others: Int64,
        wouldFail: WouldFail = WouldFail(), estimate: ResendEstimate, notMatched: NotMatched
    ) {
        self.total = total
        self.byStatus = byStatus
        self.byReceiver = byReceiver
        self.others = others
        self.wouldFail = wouldFail
        self.estimate = estimate
        self.notMatched = notMatched
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
                        writer.member("health", share.healthWord)
                    }
                }
            }
            if others > 0 { writer.member("others", others) }
            if wouldFail.total > 0 {
                writer.object("would_fail") { writer in
                    writer.member(AttemptFailure.erased.rawValue, wouldFail.erased)
                    writer.member(AttemptFailure.addressForbidden.rawValue, wouldFail.addressForbidden)
                }
            }
            writer.member("estimated_seconds", estimate.seconds)
            if estimate.seconds == nil {
                writer.array("waiting_on") { writer in
                    for wait in estimate.waits {
                        writer.object { writer in
                            writer.member("receiver", wait.origin)
                            writer.member("reason", wait.reason.rawValue)
                        }
                    }
                }
            }
            writer.object("not_matched") { writer in
                writer.member("no_url", notMatched.noURL)
                writer.member("not_notifiable_now", notMatched.notNotifiableNow)
                writer.member("other_status", notMatched.otherStatus)
                if let acknowledged = notMatched.acknowledged { writer.member("acknowledged", acknowledged) }
            }
        }
    }
}
