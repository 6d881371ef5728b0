package import ReenvioModel
package import ReenvioStore

/// What a claimed webhook of a payout says; nil for an event of v3.
extension ClaimedDelivery {
    package var payoutID: Int64? {
        if case .payout(let id, _, _) = message { id } else { nil }
    }

    package var invoice: String? {
        if case .payout(_, let invoice, _) = message { invoice } else { nil }
    }

    package var amount: Money? {
        if case .payout(_, _, let amount) = message { amount } else { nil }
    }
}
