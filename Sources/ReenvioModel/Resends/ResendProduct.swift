/// A product whose webhooks are resent in bulk: the kind of its jobs, and the statuses that may be asked for. Jobs of
/// another one, as payins are elsewhere, would be another entry here (`docs/contract.md` 5).
package struct ResendProduct: Equatable, Sendable {
    package let kind: Resend.Kind
    /// Ids on the wire, in the order in which they are named.
    package let notifiable: [Int64]

    package init(kind: Resend.Kind, notifiable: [Int64]) {
        self.kind = kind
        self.notifiable = notifiable
    }

    package static let payout = ResendProduct(kind: .v2Payout, notifiable: PayoutStatus.notifiable.map(\.id))
}
