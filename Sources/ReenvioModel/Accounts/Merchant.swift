/// Whose payouts they are; the same row is v3's account mirror (branch and account number).
package struct Merchant: Equatable, Sendable {
    package var id: Int64
    package var accountID: Int64
    package var name: String
    package var branch: String?
    package var number: String?
    /// Whether Canceled webhooks may carry `status_detail` (`docs/contract.md` 3.1).
    package var accountMismatch: Bool
    package var closedAt: Timestamp?

    package init(
        id: Int64, accountID: Int64, name: String, branch: String? = nil, number: String? = nil,
        accountMismatch: Bool = false, closedAt: Timestamp? = nil
    ) {
        self.id = id
        self.accountID = accountID
        self.name = name
        self.branch = branch
        self.number = number
        self.accountMismatch = accountMismatch
        self.closedAt = closedAt
    }
}
