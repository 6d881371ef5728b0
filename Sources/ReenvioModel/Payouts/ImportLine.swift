/// One line of an import: a payout as another system left it (`docs/importing.md`). Checked by itself; whether its
/// merchant exists, and whether its id and invoice are free, is the store's to say.
package struct ImportLine: Equatable, Sendable {
    /// Nil when the line names none; the next free id is taken then.
    package var id: Int64?
    package var merchantID: Int64
    package var invoice: String
    package var amount: Money
    package var notificationURL: ReceiverURL?
    package var status: PayoutStatus
    package var endToEnd: String?
    package var statusDetail: StatusChangeRequest.Detail?
    package var createdAt: Timestamp
    /// The time of the last status change; `createdAt` for a payout that is still Awaiting (`docs/contract.md` 1.2).
    package var updatedAt: Timestamp
    /// When the receiver acknowledged the webhook of the status, which another system sent; nil where it did not, or
    /// nothing is known of it.
    package var acknowledgedAt: Timestamp?

    package init(
        id: Int64?, merchantID: Int64, invoice: String, amount: Money, notificationURL: ReceiverURL?,
        status: PayoutStatus, endToEnd: String? = nil, statusDetail: StatusChangeRequest.Detail? = nil,
        createdAt: Timestamp, updatedAt: Timestamp, acknowledgedAt: Timestamp? = nil
    ) {
        self.id = id
        self.merchantID = merchantID
        self.invoice = invoice
        self.amount = amount
        self.notificationURL = notificationURL
        self.status = status
        self.endToEnd = endToEnd
        self.statusDetail = statusDetail
        self.createdAt = createdAt
        self.updatedAt = updatedAt
        self.acknowledgedAt = acknowledgedAt
    }

    /// Whether the payout has been notified of its status elsewhere: exactly what live creation would have sent
    /// (`docs/contract.md` 1.1 and 4.2).
    package var isNotified: Bool { status.isNotifiable && notificationURL != nil }

    /// The webhook of the status, byte for byte as a live change would have written it (`docs/contract.md` 3.1).
    package func body(payoutID: Int64) -> [UInt8] {
        NotificationBody.payout(
            id: payoutID, invoice: invoice, endToEnd: endToEnd, status: status, updatedAt: updatedAt,
            statusDetail: statusDetail
        )
    }
}

/// Why a line is not stored: a closed list. The texts name fields and rules, never a value of the line
/// (`docs/contract.md` 14).
package enum ImportRefusal: Error, Equatable, Sendable {
    case tooLong
    case malformed(JSONFault)
    case notAnObject
    case faults(Faults)
    case unknownMerchant
    case closedMerchant
    /// A payout has the id, and differs from the line in these fields.
    case idTaken(differsIn: [String])
    /// The duplication block of `docs/contract.md` 2.1.
    case invoiceTaken

    package var text: String {
        switch self {
        case .tooLong: "The line is longer than \(Limits.importLineBytes) bytes."
        case .malformed(let fault): Self.text(of: fault)
        case .notAnObject: "The line is not a JSON object."
        case .faults(let faults): faults.entries.flatMap(\.texts).joined(separator: " ")
        case .unknownMerchant: "The merchant_id names no merchant."
        case .closedMerchant: "The merchant_id names a closed merchant."
        case .idTaken(let fields): "The id is stored with other content: \(fields.joined(separator: ", "))."
        case .invoiceTaken: "The invoice has already been used for this merchant."
        }
    }

    private static func text(of fault: JSONFault) -> String {
        switch fault.reason {
        case .unexpectedByte: "The line is not JSON at byte \(fault.offset + 1)."
        case .unexpectedEnd: "The line ends in the middle of its JSON."
        case .tooDeep: "The line nests deeper than \(Limits.jsonDepth)."
        case .repeatedKey: "The line repeats a key."
        case .notUTF8: "The line is not UTF-8."
        case .loneSurrogate: "The line has half of a surrogate pair."
        case .byteOrderMark: "The line begins with a byte order mark."
        }
    }
}

// MARK: - Reading

extension ImportLine {
    /// Reads one line, all its faults at once. `now`: wall time, beyond which dates may lie at most 5 minutes.
    package static func parse(
        _ bytes: some Collection<UInt8>, policy: AddressPolicy, now: Timestamp
    ) throws(ImportRefusal) -> ImportLine {
        let value: JSONValue
        do {
            value = try JSONParser.parse(bytes)
        } catch {
            throw .malformed(error)
        }
        guard case .object(let object) = value else { throw .notAnObject }
        do {
            return try read(object, policy: policy, now: now)
        } catch {
            throw .faults(error)
        }
    }

    /// The field rules of `docs/contract.md` 2.1 and 2.4; the amount may be text, and other fields are ignored.
    package static func read(
        _ object: JSONObject, policy: AddressPolicy, now: Timestamp
    ) throws(Faults) -> ImportLine {
        var fields = FieldReader(object)
        let merchantID = fields.integer("merchant_id", required: true)
        let id = fields.importedID("id")
        let invoice = fields.string("invoice", required: true)
        let amount = fields.amount("amount", acceptingText: true)
        let currency = fields.choice("currency", among: ["BRL"])
        let url = fields.receiverURL("notification_url", policy: policy)
        let status = fields.status("status_id")
        let endToEnd = fields.string("end_to_end")
        let detail = fields.statusDetail("status_detail")
        let createdAt = fields.pastTime("created_at", required: true, now: now)?.moment
        let updatedAt = fields.time("updated_at", required: true, notBefore: createdAt, "created_at", now: now)
        let acknowledgedAt = fields.time("acknowledged_at", notBefore: updatedAt, "updated_at", now: now)
        if acknowledgedAt != nil, let status, !status.isNotifiable || fields.value("notification_url") == nil {
            fields.fault(
                "acknowledged_at",
                "The acknowledged_at field is accepted only with a notification_url and a status that has a webhook.")
        }
        if detail != nil, let status, status != .canceled {
            fields.fault("status_detail", "The status_detail field is accepted only with status_id 6.")
        }
        try fields.throwFaults()
        guard let merchantID, let invoice, let amount, let currency, let status, let createdAt, let updatedAt else {
            throw fields.faults
        }
        return ImportLine(
            id: id, merchantID: merchantID, invoice: invoice, amount: Money(minor: amount, currency: currency),
            notificationURL: url, status: status, endToEnd: endToEnd, statusDetail: detail, createdAt: createdAt,
            updatedAt: status == .awaiting ? createdAt : updatedAt, acknowledgedAt: acknowledgedAt
        )
    }
}

extension FieldReader {
    fileprivate mutating func importedID(_ key: String) -> Int64? {
        guard let id = integer(key) else { return nil }
        if (1...Limits.importedIDMax).contains(id) { return id }
        fault(key, "The \(key) field must be between 1 and \(Limits.importedIDMax).")
        return nil
    }

    /// A moment that is at most 5 minutes ahead, and at its own precision not before another (`docs/contract.md` 1.2).
    fileprivate mutating func time(
        _ key: String, required: Bool = false, notBefore other: Timestamp?, _ otherKey: String, now: Timestamp
    ) -> Timestamp? {
        guard let given = pastTime(key, required: required, now: now) else { return nil }
        guard let other else { return given.moment }
        if given.isEarlier(than: other) { fault(key, "The \(key) field must not be before \(otherKey).") }
        return given.raised(to: other)
    }
}
