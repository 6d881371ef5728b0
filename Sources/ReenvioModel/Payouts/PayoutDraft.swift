/// The checked body of `POST /v2/payout/payments` (`docs/contract.md` 2.1). Whose merchant it names is not judged here.
package struct PayoutDraft: Equatable, Sendable {
    /// Nil when the body names none; the account's only merchant is meant then.
    package var merchantID: Int64?
    package var invoice: String
    package var amount: Money
    package var purpose: String
    package var notificationURL: ReceiverURL?
    package var parties: Parties

    package init(
        merchantID: Int64?, invoice: String, amount: Money, purpose: String = "20", notificationURL: ReceiverURL?,
        parties: Parties
    ) {
        self.merchantID = merchantID
        self.invoice = invoice
        self.amount = amount
        self.purpose = purpose
        self.notificationURL = notificationURL
        self.parties = parties
    }

    /// What a body yields: the draft where nothing is wrong with it, its faults, and the merchant it names in any case,
    /// so that the caller can add what only the store knows and still answer everything at once.
    package struct Reading {
        package var draft: PayoutDraft?
        package var faults: Faults
        package var merchantID: Int64?
    }

    package static func read(_ object: JSONObject, policy: AddressPolicy) -> Reading {
        var fields = FieldReader(object)
        let merchantID = fields.integer("merchant_id")
        fields.choice("payment_method", among: ["PIX"])
        let currency = fields.choice("currency", among: ["BRL"])
        fields.choice("country", among: ["BR"])
        let amount = fields.amount("amount")
        let invoice = fields.string("invoice", required: true)
        let description = fields.string("description", lines: true)
        let url = fields.receiverURL("notification_url", policy: policy)
        let purpose = fields.string("purpose") ?? "20"
        let receipt = fields.string("receipt_message", lines: true)
        let beneficiary = fields.nestedOrEmpty("beneficiary", readBeneficiary) ?? nil
        let pix = readPix(&fields)
        guard fields.faults.isEmpty, let currency, let amount, let invoice, let beneficiary, let pix else {
            return Reading(draft: nil, faults: fields.faults, merchantID: merchantID)
        }
        let parties = Parties(beneficiary: beneficiary, pix: pix, description: description, receiptMessage: receipt)
        let draft = PayoutDraft(
            merchantID: merchantID, invoice: invoice, amount: Money(minor: amount, currency: currency),
            purpose: purpose, notificationURL: url, parties: parties
        )
        return Reading(draft: draft, faults: Faults(), merchantID: merchantID)
    }

    private static func readBeneficiary(_ fields: inout FieldReader) -> Parties.Beneficiary? {
        let name = fields.string("name", required: true, max: 100)
        let document = fields.nestedOrEmpty("document", readDocument) ?? nil
        let birthdate = fields.string("birthdate")
        let phone = fields.string("phone")
        let address = fields.nested("address") { fields in
            Parties.Address(
                address: fields.string("address"), city: fields.string("city"), country: fields.string("country"),
                stateCode: fields.string("state_code"), zipCode: fields.string("zip_code")
            )
        }
        guard let name, let document else { return nil }
        return Parties.Beneficiary(
            name: name, documentType: document.type, documentNumber: document.number, birthdate: birthdate,
            phone: phone, address: address ?? Parties.Address()
        )
    }

    private static func readDocument(_ fields: inout FieldReader) -> (type: String, number: String)? {
        let type = fields.choice("type", among: ["CPF", "CNPJ"])
        let number = fields.string("number", required: true)
        guard let number else { return nil }
        guard let type else {
            // Whatever it is a number of, it has no punctuation.
            if DocumentNumber.hasOtherCharacters(number) {
                fields.fault("number", "The beneficiary.document.number field must contain digits only.")
            }
            return nil
        }
        do {
            return (type, try DocumentNumber(number, ofType: type).text)
        } catch {
            fields.fault("number", "The beneficiary.document.number field \(error.rule).")
            return nil
        }
    }

    /// A PIX key or a bank account, never both and never neither.
    private static func readPix(_ fields: inout FieldReader) -> Parties.Pix? {
        let required = ["bank_code", "bank_branch", "account", "account_type"]
        let text = "The pix field must hold either a pix_key or the bank account fields."
        guard fields.value("pix") != nil else {
            fields.fault("pix", text)
            return nil
        }
        var ambiguous = false
        let pix = fields.nested("pix") { fields -> Parties.Pix? in
            let pix = Parties.Pix(
                pixKey: fields.string("pix_key"), bankCode: fields.string("bank_code"),
                bankBranch: fields.string("bank_branch"), bankBranchDigit: fields.string("bank_branch_digit"),
                account: fields.string("account"), accountDigit: fields.string("account_digit"),
                accountType: fields.string("account_type")
            )
            guard fields.faults.isEmpty else { return nil }
            let members = [
                pix.bankCode, pix.bankBranch, pix.account, pix.accountType, pix.bankBranchDigit, pix.accountDigit,
            ]
            let namesAccount = members.contains { $0 != nil }
            ambiguous = (pix.pixKey != nil) == namesAccount
            if namesAccount, pix.pixKey == nil {
                for (key, value) in zip(required, members) where value == nil { fields.missing(key) }
            }
            return pix
        }
        if ambiguous { fields.fault("pix", text) }
        return pix ?? nil
    }
}

extension FieldReader {
    /// A required text out of a closed list.
    @discardableResult
    mutating func choice(_ key: String, among choices: [String]) -> String? {
        guard let text = string(key, required: true) else { return nil }
        if choices.contains(text) { return text }
        fault(key, "The selected \(key) is not supported.")
        return nil
    }

    /// A required JSON number in major units, as minor units; where `acceptingText` also the same number as text.
    package mutating func amount(_ key: String, acceptingText: Bool = false) -> Int64? {
        let number: JSONNumber?
        switch value(key) {
        case nil:
            missing(key)
            return nil
        case .string("") where acceptingText:
            missing(key)
            return nil
        case .number(let written): number = written
        case .string(let text) where acceptingText: number = JSONNumber(text)
        default: number = nil
        }
        guard let number else {
            fault(key, "The \(key) field must be a number.")
            return nil
        }
        do {
            return try AmountText.minorUnits(of: number)
        } catch {
            fault(key, error.text(for: key))
            return nil
        }
    }

    /// A URL that deliveries may be sent to, judged by syntax and literal address (`docs/contract.md` 3.3). `trimmed`:
    /// blanks around it do not count.
    package mutating func receiverURL(
        _ key: String, required: Bool = false, trimmed: Bool = false, policy: AddressPolicy
    ) -> ReceiverURL? {
        guard let text = urlText(key, required: required, trimmed: trimmed) else { return nil }
        do {
            return try ReceiverURL(parsing: text, policy: policy)
        } catch {
            fault(key, "The \(key) field \(error.rule).")
            return nil
        }
    }

    /// Line breaks and tabs in a URL are refused by its own rules.
    private mutating func urlText(_ key: String, required: Bool, trimmed: Bool) -> String? {
        guard trimmed else {
            return string(key, required: required, max: Limits.notificationURLCharacters, lines: true)
        }
        // Blanks around it do not count.
        let max = 4 * Limits.notificationURLCharacters
        guard let text = string(key, required: required, max: max, lines: true) else { return nil }
        let isBlank: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        let inner = String(text.drop(while: isBlank).reversed().drop(while: isBlank).reversed())
        if inner.isEmpty {
            if required { missing(key) }
            return nil
        }
        if inner.unicodeScalars.count > Limits.notificationURLCharacters {
            fault(key, "The \(key) field must not be longer than \(Limits.notificationURLCharacters) characters.")
            return nil
        }
        return inner
    }
}
