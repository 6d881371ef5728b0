/// What was sent for one notification, and what came of it (`docs/contract.md` 13.10).
package struct LoggedNotification: Sendable, Equatable {
    package var id: Int64
    package var webhookID: WebhookID
    package var status: PayoutStatus
    package var sequence: Int64
    package var createdAt: Timestamp
    package var acknowledgedAt: Timestamp?
    package var deliveries: [LoggedDelivery]

    package init(
        id: Int64, webhookID: WebhookID, status: PayoutStatus, sequence: Int64, createdAt: Timestamp,
        acknowledgedAt: Timestamp?, deliveries: [LoggedDelivery] = []
    ) {
        self.id = id
        self.webhookID = webhookID
        self.status = status
        self.sequence = sequence
        self.createdAt = createdAt
        self.acknowledgedAt = acknowledgedAt
        self.deliveries = deliveries
    }
}

/// One delivery as the log shows it.
package struct LoggedDelivery: Sendable, Equatable {
    package enum State: String, Sendable {
        case waiting
        case inFlight = "in_flight"
        case acknowledged, exhausted, stopped, skipped
    }

    package var id: Int64
    package var url: String
    /// Whether a resend asked for it.
    package var isResend: Bool
    /// The job that asked for it; nil for live deliveries and for a resend of one payout.
    package var jobID: String?
    package var state: State
    /// Why it ended without an acknowledgement, a word of `AttemptFailure`; nil while it is open. An attempt need not
    /// have been made: `receiver_broken`, `canceled`.
    package var reason: String?
    /// When it may be tried next; nil unless it waits.
    package var nextAttemptAt: Timestamp?
    package var attempts: [LoggedAttempt]

    package init(
        id: Int64, url: String, isResend: Bool, jobID: String?, state: State, reason: String? = nil,
        nextAttemptAt: Timestamp?, attempts: [LoggedAttempt] = []
    ) {
        self.reason = reason
        self.id = id
        self.url = url
        self.isResend = isResend
        self.jobID = jobID
        self.state = state
        self.nextAttemptAt = nextAttemptAt
        self.attempts = attempts
    }
}

/// One attempt as the log shows it.
package struct LoggedAttempt: Sendable, Equatable {
    package var number: Int64
    package var at: Timestamp
    package var milliseconds: Int64
    package var statusCode: Int64?
    /// A word of `AttemptFailure`; nil on success.
    package var reason: String?
    /// The first bytes of what was answered, as text.
    package var answer: [UInt8]?
    /// Where a redirect points.
    package var location: String?

    package init(
        number: Int64, at: Timestamp, milliseconds: Int64, statusCode: Int64?, reason: String?, answer: [UInt8]?,
        location: String? = nil
    ) {
        self.number = number
        self.at = at
        self.milliseconds = milliseconds
        self.statusCode = statusCode
        self.reason = reason
        self.answer = answer
        self.location = location
    }
}

extension LoggedNotification {
    /// The row of `docs/contract.md` 13.10, key for key.
    package func write(into writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("webhook_id", webhookID.description)
            writer.object("status") { writer in
                writer.member("id", status.id)
                writer.member("name", status.name)
            }
            writer.member("sequence", sequence)
            writer.member("created_at", TimeText.zulu(createdAt))
            writer.member("acknowledged_at", acknowledgedAt.map(TimeText.zulu))
            writer.array("deliveries") { writer in
                for delivery in deliveries { delivery.write(into: &writer) }
            }
        }
    }
}

extension [LoggedNotification] {
    /// A part of the log for a page: the newest deliveries below `before`, as many as hold up to `attempts` attempts
    /// (one at least; a delivery without any counts as one), and the delivery below which the next part begins, nil at
    /// the end. Notifications stay, without the deliveries of other parts.
    package func part(below before: Int64?, attempts most: Int) -> (log: [LoggedNotification], next: Int64?) {
        var sizes: [Int64: Int] = [:]
        for delivery in flatMap(\.deliveries) where delivery.id < before ?? .max {
            sizes[delivery.id, default: 0] += Swift.max(1, delivery.attempts.count)
        }
        var shown: Set<Int64> = []
        var sum = 0
        for (id, size) in sizes.sorted(by: { $0.key > $1.key }) {
            sum += size
            if !shown.isEmpty, sum > most { break }
            shown.insert(id)
        }
        let log = map { notification in
            var notification = notification
            notification.deliveries.removeAll { !shown.contains($0.id) }
            return notification
        }
        return (log, shown.count < sizes.count ? shown.min() : nil)
    }
}

extension LoggedDelivery {
    func write(into writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("url", url)
            writer.member("kind", isResend ? "resend" : "live")
            writer.member("resend", jobID)
            writer.member("state", state.rawValue)
            writer.member("reason", reason)
            writer.member("next_attempt_at", nextAttemptAt.map(TimeText.zulu))
            writer.array("attempts") { writer in
                for attempt in attempts { attempt.write(into: &writer) }
            }
        }
    }
}

extension LoggedAttempt {
    func write(into writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("number", number)
            writer.member("at", TimeText.zulu(at))
            writer.member("duration_ms", milliseconds)
            writer.member("status_code", statusCode)
            writer.member("reason", reason)
            writer.member("answer", answer.map { String(decoding: $0, as: UTF8.self) })
            writer.member("location", location)
        }
    }
}
