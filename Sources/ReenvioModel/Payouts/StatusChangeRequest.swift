/// What the platform reports about one payout: the body of a transition (`docs/contract.md` 2.4), decoded and checked
/// field by field. Whether the change is allowed is `StatusFlow`'s to say.
package struct StatusChangeRequest: Equatable, Sendable {
    package struct Detail: Equatable, Sendable {
        package var code: String
        package var detail: String

        package init(code: String, detail: String) {
            self.code = code
            self.detail = detail
        }
    }

    package var payoutID: Int64
    package var status: PayoutStatus
    package var endToEnd: String?
    package var statusDetail: Detail?
    package var rejectionDescription: String?
    package var authenticationCode: String?
    /// When it happened, at the precision at which it was given.
    package var occurredAt: GivenTime?
    /// Asked for by the merchant, who may cancel only before the payout is processed (`docs/contract.md` 1.2).
    package var isMerchantCancel: Bool { canceledBy != nil }
    /// The merchant's caller, for the audit; nil for what the platform reports.
    package var canceledBy: Requester?
    /// The trace of the request, where it had one.
    package var trace: TraceParent?

    package init(
        payoutID: Int64, status: PayoutStatus, endToEnd: String? = nil, statusDetail: Detail? = nil,
        rejectionDescription: String? = nil, authenticationCode: String? = nil, occurredAt: GivenTime? = nil
    ) {
        self.payoutID = payoutID
        self.status = status
        self.endToEnd = endToEnd
        self.statusDetail = statusDetail
        self.rejectionDescription = rejectionDescription
        self.authenticationCode = authenticationCode
        self.occurredAt = occurredAt
    }

    /// Reads the fields of a transition of `payoutID`; all faults at once.
    package static func parse(_ object: JSONObject, payoutID: Int64) throws(Faults) -> StatusChangeRequest {
        var fields = FieldReader(object)
        let status = fields.status("status_id")
        let endToEnd = fields.string("end_to_end")
        let rejection = fields.string("rejection_description", lines: true)
        let authentication = fields.string("authentication_code")
        let occurredAt = fields.givenTime("occurred_at")
        let detail = fields.statusDetail("status_detail")
        try fields.throwFaults()
        guard let status else { throw fields.faults }
        return StatusChangeRequest(
            payoutID: payoutID, status: status, endToEnd: endToEnd, statusDetail: detail,
            rejectionDescription: rejection, authenticationCode: authentication, occurredAt: occurredAt
        )
    }
}

extension StatusChangeRequest.Detail {
    /// The stored form, and the form on the wire (`docs/contract.md` 3.1).
    package func write(into writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("code", code)
            writer.member("detail", detail)
        }
    }
}

extension FieldReader {
    /// A required status of `docs/contract.md` 1.1.
    mutating func status(_ key: String) -> PayoutStatus? {
        guard let id = integer(key, required: true) else { return nil }
        if let status = PayoutStatus(id: id) { return status }
        fault(key, "The selected \(key) is invalid.")
        return nil
    }

    /// An optional `{"code":...,"detail":...}`. Whether a change may carry one is judged elsewhere.
    mutating func statusDetail(_ key: String) -> StatusChangeRequest.Detail? {
        let detail = nested(key) { detail -> StatusChangeRequest.Detail? in
            let code = detail.string("code", required: true)
            let text = detail.string("detail", required: true, lines: true)
            guard let code, let text else { return nil }
            return StatusChangeRequest.Detail(code: code, detail: text)
        }
        return detail ?? nil
    }
}
