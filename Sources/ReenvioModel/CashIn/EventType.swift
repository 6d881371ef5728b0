/// Which objects v3 speaks of (`docs/contract.md` 1.3): the words of `resend_type`, and of a registration that takes a
/// whole category. Case-sensitive.
package enum EventCategory: String, Sendable, Hashable, CaseIterable {
    /// Its objects are QR codes.
    case cashIn = "CASHIN"
    /// Its objects are payouts.
    case cashOut = "CASHOUT"
}

/// The twelve kinds of v3 events (`docs/contract.md` 8.1), by their words on the wire.
package enum EventType: String, Sendable, Hashable, CaseIterable {
    case qrCodeCreated = "QR_CODE_COPY_AND_PASTE_CREATED"
    case qrCodePaid = "QR_CODE_COPY_AND_PASTE_PAID"
    case qrCodeRefunded = "QR_CODE_COPY_AND_PASTE_REFUNDED"
    case qrCodeRefundedError = "QR_CODE_COPY_AND_PASTE_REFUNDED_ERROR"
    case pixCashInReceived = "PIX_CASHIN_RECEIVED"
    case pixCashInRefunded = "PIX_CASHIN_REFUNDED"
    case pixCashInRefundedError = "PIX_CASHIN_REFUNDED_ERROR"
    case pixCashOutCreated = "PIX_CASHOUT_CREATED"
    case pixCashOutSuccess = "PIX_CASHOUT_SUCCESS"
    case pixCashOutError = "PIX_CASHOUT_ERROR"
    case pixCashOutRefund = "PIX_CASHOUT_REFUND"
    case pixCashOutCanceled = "PIX_CASHOUT_CANCELED"

    package var category: EventCategory {
        switch self {
        case .qrCodeCreated, .qrCodePaid, .qrCodeRefunded, .qrCodeRefundedError, .pixCashInReceived,
            .pixCashInRefunded, .pixCashInRefundedError:
            .cashIn
        case .pixCashOutCreated, .pixCashOutSuccess, .pixCashOutError, .pixCashOutRefund, .pixCashOutCanceled:
            .cashOut
        }
    }
}

/// What a registration takes (`docs/contract.md` 6.5): a whole category, or one type of event.
package enum EventSelection: Sendable, Hashable {
    case category(EventCategory)
    case type(EventType)

    /// `type_webhook` on the wire; nil for any other word.
    package init?(rawValue text: String) {
        if let category = EventCategory(rawValue: text) {
            self = .category(category)
        } else if let type = EventType(rawValue: text) {
            self = .type(type)
        } else {
            return nil
        }
    }

    package var rawValue: String {
        switch self {
        case .category(let category): category.rawValue
        case .type(let type): type.rawValue
        }
    }

    package func takes(_ type: EventType) -> Bool {
        switch self {
        case .category(let category): category == type.category
        case .type(let only): only == type
        }
    }
}
