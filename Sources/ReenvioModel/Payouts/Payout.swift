/// A payout as it stands now (`docs/contract.md` 2.1). `parties` is nil once erased, or where they were not asked for.
package struct Payout: Equatable, Sendable {
    package var id: Int64
    package var merchantID: Int64
    package var merchantName: String
    package var invoice: String
    package var amount: Money
    package var purpose: String
    package var status: PayoutStatus
    package var endToEnd: String?
    package var rejectionDescription: String?
    package var authenticationCode: String?
    package var notificationURL: String?
    package var createdAt: Timestamp
    package var updatedAt: Timestamp
    package var paidAt: Timestamp?
    package var parties: Parties?

    package init(
        id: Int64, merchantID: Int64, merchantName: String, invoice: String, amount: Money, purpose: String,
        status: PayoutStatus, endToEnd: String?, rejectionDescription: String?, authenticationCode: String?,
        notificationURL: String?, createdAt: Timestamp, updatedAt: Timestamp, paidAt: Timestamp?, parties: Parties?
    ) {
        self.id = id
        self.merchantID = merchantID
        self.merchantName = merchantName
        self.invoice = invoice
        self.amount = amount
        self.purpose = purpose
        self.status = status
        self.endToEnd = endToEnd
        self.rejectionDescription = rejectionDescription
        self.authenticationCode = authenticationCode
        self.notificationURL = notificationURL
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.paidAt = paidAt
        self.parties = parties
    }

    /// The payout as it was when it was created: whatever changes later is as a new payout has it.
    package var atCreation: Payout {
        var first = self
        (first.status, first.updatedAt, first.paidAt) = (.awaiting, createdAt, nil)
        (first.endToEnd, first.rejectionDescription, first.authenticationCode) = (nil, nil, nil)
        return first
    }

    /// The payout that a draft makes.
    package init(id: Int64, draft: PayoutDraft, merchant: Merchant, createdAt: Timestamp) {
        self.init(
            id: id, merchantID: merchant.id, merchantName: merchant.name, invoice: draft.invoice, amount: draft.amount,
            purpose: draft.purpose, status: .awaiting, endToEnd: nil, rejectionDescription: nil,
            authenticationCode: nil, notificationURL: draft.notificationURL?.text, createdAt: createdAt,
            updatedAt: createdAt, paidAt: nil, parties: draft.parties)
    }
}
