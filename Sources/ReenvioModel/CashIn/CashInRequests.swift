/// The checked body of `POST /v3/cashin/qrcodes` (`docs/contract.md` 8.4). Whose merchant it names is not judged here.
package struct QRCodeDraft: Equatable, Sendable {
    package var merchantID: Int64
    package var data: QRCode.Data

    package init(merchantID: Int64, data: QRCode.Data) {
        self.merchantID = merchantID
        self.data = data
    }

    /// The draft where nothing is wrong with it, its faults, and the merchant it names in any case.
    package struct Reading {
        package var draft: QRCodeDraft?
        package var faults: Faults
        package var merchantID: Int64?
    }

    package static func read(_ object: JSONObject) -> Reading {
        var fields = FieldReader(object)
        let merchantID = fields.integer("merchant_id", required: true)
        let data = QRCode.Data.readNew(&fields)
        guard fields.faults.isEmpty, let merchantID else {
            return Reading(draft: nil, faults: fields.faults, merchantID: merchantID)
        }
        return Reading(
            draft: QRCodeDraft(merchantID: merchantID, data: data), faults: Faults(), merchantID: merchantID)
    }
}

/// The checked body of `POST /v3/cashin/qrcodes/{id}/events` (`docs/contract.md` 8.4).
package struct CashInReport: Equatable, Sendable {
    package var type: EventType
    package var data: QRCode.Data
    package var occurredAt: GivenTime?

    package init(type: EventType, data: QRCode.Data, occurredAt: GivenTime? = nil) {
        self.type = type
        self.data = data
        self.occurredAt = occurredAt
    }

    package static func parse(_ object: JSONObject, now: Timestamp) throws(Faults) -> CashInReport {
        var fields = FieldReader(object)
        let type = fields.string("type", required: true).flatMap { text -> EventType? in
            if let type = EventType(rawValue: text), type.category == .cashIn { return type }
            fields.fault("type", "The selected type is invalid.")
            return nil
        }
        let data = fields.nestedOrEmpty("data", QRCode.Data.readUpdate)
        let occurredAt = fields.pastTime("occurred_at", now: now)
        try fields.throwFaults()
        guard let type, let data else { throw fields.faults }
        return CashInReport(type: type, data: data, occurredAt: occurredAt)
    }
}

/// The checked body of `POST /v2/payout/payments/{id}/refund` (`docs/contract.md` 8.4).
package struct RefundReport: Equatable, Sendable {
    /// The end-to-end id of the refund itself.
    package var endToEnd: String?
    package var occurredAt: GivenTime?

    package init(endToEnd: String?, occurredAt: GivenTime? = nil) {
        self.endToEnd = endToEnd
        self.occurredAt = occurredAt
    }

    package static func parse(_ object: JSONObject, now: Timestamp) throws(Faults) -> RefundReport {
        var fields = FieldReader(object)
        let endToEnd = fields.string("end_to_end")
        let occurredAt = fields.pastTime("occurred_at", now: now)
        try fields.throwFaults()
        return RefundReport(endToEnd: endToEnd, occurredAt: occurredAt)
    }
}
