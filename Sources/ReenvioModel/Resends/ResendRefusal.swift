/// Why a payout cannot be sent again, with the words of each answer (`docs/contract.md` 5, 13.9 and 13.15).
package enum ResendRefusal: Sendable, Equatable, CaseIterable {
    case neverNotified
    case erased
    /// The address rules of today refuse its URL.
    case urlRefused

    /// The first that holds; nil where a resend sends it.
    package init?(isNotified: Bool, isErased: Bool, isURLRefused: Bool) {
        if !isNotified {
            self = .neverNotified
        } else if isErased {
            self = .erased
        } else if isURLRefused {
            self = .urlRefused
        } else {
            return nil
        }
    }

    /// Of the 409 to a resend of this payout alone.
    package var message: String {
        switch self {
        case .neverNotified: "Nothing was ever notified for this payout."
        case .erased: "The data of this payout was erased."
        case .urlRefused: "The notification_url of this payout is not allowed."
        }
    }

    /// The `last_reason` in the ledger of a job that counts it as failed; nil where no job matches it.
    package var reason: AttemptFailure? {
        switch self {
        case .neverNotified: nil
        case .erased: .erased
        case .urlRefused: .addressForbidden
        }
    }
}
