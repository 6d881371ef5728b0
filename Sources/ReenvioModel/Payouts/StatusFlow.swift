/// Which status may follow which. Reenvio is told what a ledger already did, so a change is allowed when its target can
/// be *reached*, directly or through states that nobody reported (`docs/contract.md` 1.2).
package enum StatusFlow {
    /// The documented single steps.
    package static func next(after status: PayoutStatus) -> [PayoutStatus] {
        switch status {
        case .awaiting: [.received, .canceled, .expired, .invalidData]
        case .received: [.processing, .inReview, .canceled, .invalidData]
        case .inReview: [.received, .rejected, .canceled]
        case .processing: [.processed, .paid, .rejected, .canceled]
        case .processed: [.paid, .rejected]
        case .paid, .rejected, .canceled, .expired, .invalidData: []
        }
    }

    package static func canReach(_ target: PayoutStatus, from status: PayoutStatus) -> Bool {
        reachable[status]?.contains(target) ?? false
    }

    private static let reachable: [PayoutStatus: Set<PayoutStatus>] = Dictionary(
        uniqueKeysWithValues: PayoutStatus.allCases.map { start in
            var seen: Set<PayoutStatus> = []
            var open = next(after: start)
            while let status = open.popLast() {
                if seen.insert(status).inserted { open += next(after: status) }
            }
            return (start, seen)
        }
    )

    /// What the flow knows of a payout before a change.
    package struct Current: Sendable {
        package var status: PayoutStatus
        package var changedAt: Timestamp
        package var allowsStatusDetail: Bool

        package init(status: PayoutStatus, changedAt: Timestamp, allowsStatusDetail: Bool) {
            self.status = status
            self.changedAt = changedAt
            self.allowsStatusDetail = allowsStatusDetail
        }
    }

    package enum Decision: Equatable, Sendable {
        /// The change stands, dated `at`.
        case apply(at: Timestamp)
        /// The payout has this status already: nothing is stored, nothing is sent.
        case unchanged
        case refused(Refusal)
    }

    package enum Refusal: Equatable, Sendable {
        case notFound
        case notAllowed(from: PayoutStatus, to: PayoutStatus)
        /// The given `occurred_at` lies before the current change, at its own precision.
        case laterStatusRecorded
        case invalid(Faults)

        /// The text of the 409 or 404 (`docs/contract.md` 1.2, 2.2, 2.4).
        package var message: String {
            switch self {
            case .notFound: "Payout not found."
            case .notAllowed(let from, let to): "Status change from \(from.id) to \(to.id) is not allowed."
            case .laterStatusRecorded: "A later status is already recorded."
            case .invalid: "Validation error."
            }
        }
    }

    /// Allows or refuses one requested change. Pure: `now` is the wall time of the request.
    package static func decide(_ change: StatusChangeRequest, on current: Current, now: Timestamp) -> Decision {
        if change.statusDetail != nil, change.status != .canceled || !current.allowsStatusDetail {
            return .refused(
                .invalid(Faults("status_detail", "The status_detail field is not accepted for this change.")))
        }
        if let occurred = change.occurredAt, occurred.isTooFarAhead(of: now) {
            let text = "The occurred_at field must not be more than 5 minutes in the future."
            return .refused(.invalid(Faults("occurred_at", text)))
        }
        if change.status == current.status { return .unchanged }
        let isTooLate = change.isMerchantCancel && ![.awaiting, .received].contains(current.status)
        guard !isTooLate, canReach(change.status, from: current.status) else {
            return .refused(.notAllowed(from: current.status, to: change.status))
        }
        guard let occurred = change.occurredAt else { return .apply(at: max(now, current.changedAt)) }
        if occurred.isEarlier(than: current.changedAt) { return .refused(.laterStatusRecorded) }
        return .apply(at: occurred.raised(to: current.changedAt))
    }
}
