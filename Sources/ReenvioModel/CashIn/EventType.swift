/// Which half of v3 an event, a registration or a resend is about (`docs/contract.md` 1.1, 6.1).
package enum EventCategory: String, Sendable, CaseIterable {
    /// QR codes.
    case cashIn = "CASHIN"
    /// Payouts, which v3 calls transactions.
    case cashOut = "CASHOUT"
}

/// The twelve events of v3 (`docs/contract.md` 8.1).
package enum EventType: String, Sendable, CaseIterable {
    case qrCodeCreated = "QR_CODE_COPY_AND_PASTE_CREATED"
    case qrCodePaid = "QR_CODE_COPY_AND_PASTE_PAID"
    case qrCodeRefunded = "QR_CODE_COPY_AND_PASTE_REFUNDED"
    case qrCodeRefundedError = "QR_CODE_COPY_AND_PASTE_REFUNDED_ERROR"
    case cashInReceived = "PIX_CASHIN_RECEIVED"
    case cashInRefunded = "PIX_CASHIN_REFUNDED"
    case cashInRefundedError = "PIX_CASHIN_REFUNDED_ERROR"
    case cashOutCreated = "PIX_CASHOUT_CREATED"
    case cashOutSuccess = "PIX_CASHOUT_SUCCESS"
    case cashOutError = "PIX_CASHOUT_ERROR"
    case cashOutRefund = "PIX_CASHOUT_REFUND"
    case cashOutCanceled = "PIX_CASHOUT_CANCELED"

    package var category: EventCategory {
        switch self {
        case .qrCodeCreated, .qrCodePaid, .qrCodeRefunded, .qrCodeRefundedError, .cashInReceived, .cashInRefunded,
            .cashInRefundedError:
            .cashIn
        case .cashOutCreated, .cashOutSuccess, .cashOutError, .cashOutRefund, .cashOutCanceled: .cashOut
        }
    }

    /// Whether a registration for `typeWebhook`, a category or a single type, takes this event
    /// (`docs/contract.md` 6.5).
    package func isTaken(by typeWebhook: String) -> Bool {
        typeWebhook == rawValue || typeWebhook == category.rawValue
    }
}
