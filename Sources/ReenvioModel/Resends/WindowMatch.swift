/// Why a payout is not among those that a window matches (`docs/contract.md` 4.2, 13.15): the words of the answer.
package enum WindowMiss: String, Sendable, CaseIterable {
    /// It has no `notification_url`, so nothing was ever sent.
    case noURL = "no_url"
    /// Its current status sends no webhook.
    case notNotifiableNow = "not_notifiable_now"
    /// Its last change was before the window.
    case beforeWindow = "before_window"
    /// Its last change was after the window.
    case afterWindow = "after_window"

    package func sentence(_ payout: WindowMatch.Facts) -> String {
        switch self {
        case .noURL: "The payout has no notification_url; nothing is ever sent for it."
        case .notNotifiableNow: "Its current status, \(payout.status.name), sends no webhook."
        case .beforeWindow: "Its last change, \(TimeText.plain(payout.updatedAt)), lies before the window."
        case .afterWindow: "Its last change, \(TimeText.plain(payout.updatedAt)), lies after the window."
        }
    }
}

/// Whether a resend of a window, dispatched now, would take a payout.
package enum WindowMatch {
    package struct Facts: Sendable, Equatable {
        package var status: PayoutStatus
        package var updatedAt: Timestamp
        package var hasURL: Bool

        package init(status: PayoutStatus, updatedAt: Timestamp, hasURL: Bool) {
            self.status = status
            self.updatedAt = updatedAt
            self.hasURL = hasURL
        }
    }

    /// Every reason against it; none means that it matches. Times are compared in whole seconds, both ends included.
    package static func misses(_ payout: Facts, _ window: ResendWindow) -> [WindowMiss] {
        var misses: [WindowMiss] = []
        if !payout.hasURL { misses.append(.noURL) }
        if !payout.status.isNotifiable { misses.append(.notNotifiableNow) }
        if payout.updatedAt.seconds < window.startSeconds { misses.append(.beforeWindow) }
        if payout.updatedAt.seconds > window.endSeconds { misses.append(.afterWindow) }
        return misses
    }
}
