/// A QR code, the object of cash-in (`docs/contract.md` 8.2). Its data is the operator's: dates, numbers and texts stay
/// as given.
package struct QRCode: Equatable, Sendable {
    package enum Status: String, Sendable {
        case new = "NEW"
        case paid = "PAID"
        case canceled = "CANCELED"
        case chargeback = "CHARGEBACK"
    }

    package var id: Int64
    package var status: Status
    package var data: Data

    package init(id: Int64, status: Status, data: Data) {
        self.id = id
        self.status = status
        self.data = data
    }

    /// The status after an event: a payment or a refund moves it, whatever else happens does not.
    package static func status(after type: EventType, from status: Status) -> Status {
        switch type {
        case .qrCodePaid: .paid
        case .qrCodeRefunded, .pixCashInRefunded: .chargeback
        default: status
        }
    }

    /// The members that the operator may set, in the order of 8.2, then those that events add.
    package struct Data: Equatable, Sendable {
        private var members: JSONObject

        /// What is stored, read back.
        package init(stored: JSONObject) {
            members = stored
        }

        /// These members with others laid over them.
        package func updated(with other: Data) -> Data {
            var merged = self
            for member in other.members.members { merged.members.set(member.key, member.value) }
            return merged
        }

        package subscript(key: String) -> JSONValue? { members[key] }

        /// The amount in minor units; nil where none is known.
        package var amountMinor: Int64? {
            guard case .number(let number) = members["amount"] else { return nil }
            return try? AmountText.minorUnits(of: number)
        }

        /// With its amount, where everything else was erased.
        package func keeping(amountMinor minor: Int64) -> Data {
            guard members["amount"] == nil,
                let number = JSONNumber(Money(minor: minor, currency: "BRL").numberText)
            else { return self }
            var kept = self
            kept.members.set("amount", .number(number))
            return kept
        }

        package var json: [UInt8] {
            var writer = JSONWriter(capacity: 512)
            writer.value(.object(members))
            return writer.bytes
        }

        /// Whether it is about the holder of a document.
        package func names(document: DocumentNumber) -> Bool {
            guard case .string(let text) = members["debtor_document"] else { return false }
            return document.isWritten(as: text)
        }
    }
}

extension QRCode.Data {
    private enum Form {
        case text, longText, number, textOrNumber
    }

    /// What may be set, with the form of each; `amount` has rules of its own.
    private static let settable: [(key: String, form: Form)] = [
        ("amount_chargeback", .number), ("base_64_image", .longText), ("base_64_image_url", .longText),
        ("debtor_document", .text), ("debtor_name", .text), ("due_date", .text), ("expiration_date", .text),
        ("fee", .number), ("fine", .number), ("fine_date", .text), ("pix_copy_and_paste", .longText), ("tag", .text),
        ("tx_id", .text), ("type_document", .text), ("type_fine", .text),
    ]

    private static let added: [(key: String, form: Form)] = [
        ("end_to_end", .text), ("payment_date", .text), ("chargeback_id", .textOrNumber),
    ]

    /// The data of a new QR code: `amount` is required, what else is absent has its default in the envelope.
    package static func readNew(_ fields: inout FieldReader) -> QRCode.Data {
        read(&fields, settable, amountRequired: true)
    }

    /// What an event says of its QR code: any of the same members, and those that events add.
    package static func readUpdate(_ fields: inout FieldReader) -> QRCode.Data {
        read(&fields, settable + added, amountRequired: false)
    }

    private static func read(
        _ fields: inout FieldReader, _ wanted: [(key: String, form: Form)], amountRequired: Bool
    ) -> QRCode.Data {
        var members = JSONObject()
        if let amount = fields.amount("amount", required: amountRequired) { members.set("amount", .number(amount)) }
        for (key, form) in wanted {
            switch (form, fields.value(key)) {
            case (_, nil): break
            case (.number, .number(let number)), (.textOrNumber, .number(let number)): members.set(key, .number(number))
            case (.number, _): fields.fault(key, "The \(fields.path)\(key) field must be a number.")
            case (.longText, _):
                guard let text = fields.string(key, max: Limits.cashInTextCharacters, lines: true) else { continue }
                members.set(key, .string(text))
            case (.text, _), (.textOrNumber, _):
                guard let text = fields.string(key) else { continue }
                members.set(key, .string(key == "debtor_document" ? DocumentNumber.stored(text) : text))
            }
        }
        return QRCode.Data(stored: members)
    }
}

extension FieldReader {
    /// An amount in the rules of `docs/contract.md` 2.1, kept as it was written.
    fileprivate mutating func amount(_ key: String, required: Bool) -> JSONNumber? {
        guard let value = value(key) else {
            if required { missing(key) }
            return nil
        }
        guard case .number(let number) = value else {
            fault(key, "The \(path)\(key) field must be a number.")
            return nil
        }
        do {
            _ = try AmountText.minorUnits(of: number)
            return number
        } catch {
            fault(key, error.text(for: path + key))
            return nil
        }
    }
}

/// An event of a QR code as receivers get it (`docs/contract.md` 8.1, 8.2).
package struct CashInEvent: Sendable {
    package var type: EventType
    package var qrCode: QRCode
    package var accountNumber: String
    package var agencyNumber: String

    package init(type: EventType, qrCode: QRCode, accountNumber: String, agencyNumber: String) {
        self.type = type
        self.qrCode = qrCode
        self.accountNumber = accountNumber
        self.agencyNumber = agencyNumber
    }

    /// The exact bytes: the keys of 8.2 in their order, then what the event adds.
    package var body: [UInt8] {
        var writer = JSONWriter(capacity: 1_024)
        writer.object { writer in
            writer.member("type", type.rawValue)
            writer.object("data") { writeData(into: &$0) }
        }
        return writer.bytes
    }

    private func writeData(into writer: inout JSONWriter) {
        let data = qrCode.data
        func put(_ key: String, or other: JSONValue = .null) {
            writer.member(key, data[key] ?? other)
        }
        let zero = JSONValue.number(JSONNumber(Int64(0)))
        put("amount")
        put("amount_chargeback", or: zero)
        put("base_64_image")
        put("base_64_image_url")
        writer.member("account_number", accountNumber)
        writer.member("agency_number", agencyNumber)
        if case .string(let document) = data["debtor_document"] {
            writer.member("debtor_document", Mask.debtorDocument(document))
        } else {
            put("debtor_document")
        }
        put("debtor_name")
        put("due_date")
        put("expiration_date")
        put("fee", or: zero)
        put("fine")
        put("fine_date")
        put("pix_copy_and_paste")
        writer.member("qr_code_id", qrCode.id)
        writer.member("status", qrCode.status.rawValue)
        put("tag", or: .string("NONE"))
        put("tx_id")
        put("type_document")
        put("type_fine", or: .string("NONE"))
        writer.member("worked", true)
        for key in ["end_to_end", "payment_date", "chargeback_id"] where data[key] != nil || needs(key) { put(key) }
    }

    /// What its type always carries, unknown or not.
    private func needs(_ key: String) -> Bool {
        switch type {
        case .qrCodePaid: key != "chargeback_id"
        case .qrCodeRefundedError, .pixCashInRefundedError: key == "chargeback_id"
        default: false
        }
    }
}
