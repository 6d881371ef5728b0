/// The v3 face of a payout: which event a status is, and the envelope that says so (`docs/contract.md` 8.3, 8.4).
package struct CashOutEvent: Equatable, Sendable {
    /// What the event adds to the eleven keys.
    package enum Addition: Equatable, Sendable {
        case none
        case error(String)
        case cancelDescription(String?)
        case refund(originEndToEnd: String?)
    }

    package var type: EventType
    package var transactionID: Int64
    package var endToEnd: String?
    package var amount: Money
    /// Shown masked.
    package var pixKey: String?
    package var paymentDate: Timestamp?
    /// The account number of the mirror that the money left.
    package var fromAccount: String
    package var recipientName: String?
    package var addition: Addition

    package init(
        type: EventType, transactionID: Int64, endToEnd: String?, amount: Money, pixKey: String?,
        paymentDate: Timestamp?, fromAccount: String, recipientName: String?, addition: Addition = .none
    ) {
        self.type = type
        self.transactionID = transactionID
        self.endToEnd = endToEnd
        self.amount = amount
        self.pixKey = pixKey
        self.paymentDate = paymentDate
        self.fromAccount = fromAccount
        self.recipientName = recipientName
        self.addition = addition
    }

    /// The event of a status; nil for those that emit nothing (7, 2 and 8). Of one payout at most one
    /// `PIX_CASHOUT_CREATED` is emitted, which is the caller's to see to.
    package static func type(of status: PayoutStatus) -> EventType? {
        switch status {
        case .received, .inReview: .pixCashOutCreated
        case .paid: .pixCashOutSuccess
        case .rejected, .expired, .invalidData: .pixCashOutError
        case .canceled: .pixCashOutCanceled
        case .awaiting, .processing, .processed: nil
        }
    }

    private var status: String {
        switch type {
        case .pixCashOutSuccess: "SUCCESS"
        case .pixCashOutError: "ERROR"
        case .pixCashOutCanceled: "CANCELED"
        case .pixCashOutRefund: "REFUNDED"
        default: "NEW"
        }
    }

    /// The exact bytes: the eleven keys in their order, upstream's misspelling included, then the additions.
    package var body: [UInt8] {
        var writer = JSONWriter(capacity: 512)
        writer.object { writer in
            writer.member("type", type.rawValue)
            writer.object("data") { writer in
                writer.member("worked", true)
                writer.member("transaction_id", transactionID)
                writer.member("end_to_end", endToEnd)
                writer.member("status", status)
                writer.member("amount", number: amount.numberText)
                writer.member("fee", number: "0.0")
                writer.member("key", pixKey.map(Mask.text))
                writer.member("tag", String?.none)
                writer.member("payment_date", paymentDate.map(TimeText.zulu))
                writer.member("from_accout", fromAccount)
                writer.member("recipient_name", recipientName)
                writeAddition(into: &writer)
            }
        }
        return writer.bytes
    }

    private func writeAddition(into writer: inout JSONWriter) {
        switch addition {
        case .none: break
        case .error(let text): writer.member("error", text)
        case .cancelDescription(let text): writer.member("cancel_description", text)
        case .refund(let origin):
            writer.member("origin_end_to_end", origin)
            writer.member("origin_transaction_id", transactionID)
        }
    }
}

extension Money {
    /// A JSON number in major units with one or two decimals, as v3 writes amounts: `0.01`, `10.0`.
    package var numberText: String {
        text.hasSuffix("0") ? String(text.dropLast()) : text
    }
}
