/// Why a message of a v3 resend was not acknowledged, in the words of `error_message` (`docs/contract.md` 6.4).
package struct LogFailure: Equatable, Sendable {
    package var text: String

    package init(text: String) {
        self.text = text
    }

    /// Nil for what was acknowledged.
    package init?(_ end: DeliveryEnd, reason: AttemptFailure?, statusCode: Int?) {
        switch (end, reason) {
        case (.acknowledged, _): return nil
        case (_, .receiverBroken): self = .receiverPaused
        case (_, .canceled): self = .webhookDeleted
        case (_, .erased): self = .erased
        case (_, .addressForbidden): self = .addressForbidden
        default:
            let isAnswered = statusCode.map { $0 < 500 && $0 != 429 } ?? false
            text = isAnswered ? "HTTP \(statusCode ?? 0)" : "external service unavailable"
        }
    }

    /// It waited a day behind a pause or an open breaker.
    package static let receiverPaused = LogFailure(text: "receiver paused")
    /// Its registration was deleted before it was acknowledged.
    package static let webhookDeleted = LogFailure(text: "webhook deleted")
    /// The personal data that it names was destroyed.
    package static let erased = LogFailure(text: "personal data erased")
    /// What the store keeps of it does not open any more.
    package static let unreadable = LogFailure(text: "internal error")
    /// The address rules refuse the registration's URL.
    package static let addressForbidden = LogFailure(text: "address not allowed")

    package static let noRegistration = "No webhook is registered for this account and type."

    /// `error_message` of one object.
    package static func message(category: EventCategory, last: LogFailure) -> String {
        switch category {
        case .cashIn: "QR code webhook could not be resent: \(last.text)"
        case .cashOut: "Transaction webhook could not be resent: \(last.text)"
        }
    }

    /// `error_message` of a range; the counts are of messages.
    package static func message(failed: Int64, of total: Int64, last: LogFailure) -> String {
        "\(failed) of \(total) webhooks could not be resent: \(last.text)"
    }
}
