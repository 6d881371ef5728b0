/// Whom a payout pays, and what it says: personal data, stored encrypted in a row of its own (`docs/contract.md` 14).
package struct Parties: Equatable, Sendable {
    package struct Beneficiary: Equatable, Sendable {
        package var name: String
        package var documentType: String
        package var documentNumber: String
        package var birthdate: String?
        package var phone: String?
        package var address: Address

        package init(
            name: String, documentType: String, documentNumber: String, birthdate: String? = nil, phone: String? = nil,
            address: Address = Address()
        ) {
            self.name = name
            self.documentType = documentType
            self.documentNumber = documentNumber
            self.birthdate = birthdate
            self.phone = phone
            self.address = address
        }
    }

    package struct Address: Equatable, Sendable {
        package var address: String?
        package var city: String?
        package var country: String?
        package var stateCode: String?
        package var zipCode: String?

        package init(
            address: String? = nil, city: String? = nil, country: String? = nil, stateCode: String? = nil,
            zipCode: String? = nil
        ) {
            self.address = address
            self.city = city
            self.country = country
            self.stateCode = stateCode
            self.zipCode = zipCode
        }
    }

    /// Either a PIX key or a bank account (`docs/contract.md` 2.1).
    package struct Pix: Equatable, Sendable {
        package var pixKey: String?
        package var bankCode: String?
        package var bankBranch: String?
        package var bankBranchDigit: String?
        package var account: String?
        package var accountDigit: String?
        package var accountType: String?

        package init(
            pixKey: String? = nil, bankCode: String? = nil, bankBranch: String? = nil, bankBranchDigit: String? = nil,
            account: String? = nil, accountDigit: String? = nil, accountType: String? = nil
        ) {
            self.pixKey = pixKey
            self.bankCode = bankCode
            self.bankBranch = bankBranch
            self.bankBranchDigit = bankBranchDigit
            self.account = account
            self.accountDigit = accountDigit
            self.accountType = accountType
        }
    }

    package var beneficiary: Beneficiary
    package var pix: Pix
    package var description: String?
    package var receiptMessage: String?

    /// The object as `write` renders it, read back; nil where a required text is missing.
    package init?(json object: JSONObject) {
        func text(_ object: JSONObject?, _ key: String) -> String? {
            guard case .string(let text) = object?[key] else { return nil }
            return text
        }
        func inner(_ object: JSONObject?, _ key: String) -> JSONObject? {
            guard case .object(let inner) = object?[key] else { return nil }
            return inner
        }
        let person = inner(object, "beneficiary")
        let document = inner(person, "document")
        guard let name = text(person, "name"), let type = text(document, "type"), let number = text(document, "number")
        else { return nil }
        let address = inner(person, "address")
        let pix = inner(object, "pix")
        self.init(
            beneficiary: Beneficiary(
                name: name, documentType: type, documentNumber: number, birthdate: text(person, "birthdate"),
                phone: text(person, "phone"),
                address: Address(
                    address: text(address, "address"), city: text(address, "city"), country: text(address, "country"),
                    stateCode: text(address, "state_code"), zipCode: text(address, "zip_code")
                )
            ),
            pix: Pix(
                pixKey: text(pix, "pix_key"), bankCode: text(pix, "bank_code"), bankBranch: text(pix, "bank_branch"),
                bankBranchDigit: text(pix, "bank_branch_digit"), account: text(pix, "account"),
                accountDigit: text(pix, "account_digit"), accountType: text(pix, "account_type")
            ),
            description: text(object, "description"), receiptMessage: text(object, "receipt_message")
        )
    }

    package init(beneficiary: Beneficiary, pix: Pix, description: String? = nil, receiptMessage: String? = nil) {
        self.beneficiary = beneficiary
        self.pix = pix
        self.description = description
        self.receiptMessage = receiptMessage
    }

    /// The stored form: `beneficiary` and `pix` as the payout object has them, then the two texts.
    package var json: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("beneficiary") { beneficiary.write(into: &$0) }
            writer.member("pix") { pix.write(into: &$0, absentTexts: nil) }
            writer.member("description", description)
            writer.member("receipt_message", receiptMessage)
        }
        return writer.bytes
    }
}

extension Parties.Beneficiary {
    package func write(into writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("name", name)
            writer.member("document") { writer in
                writer.object { writer in
                    writer.member("type", documentType)
                    writer.member("number", documentNumber)
                }
            }
            writer.member("birthdate", birthdate)
            writer.member("phone", phone)
            writer.member("address") { writer in
                writer.object { writer in
                    writer.member("address", address.address)
                    writer.member("city", address.city)
                    writer.member("country", address.country)
                    writer.member("state_code", address.stateCode)
                    writer.member("zip_code", address.zipCode)
                }
            }
        }
    }
}

extension Parties.Pix {
    /// `absentTexts` stands for an absent `bank_code` and `account_type`: the payout object shows `""` there
    /// (`docs/contract.md` 2.1).
    package func write(into writer: inout JSONWriter, absentTexts: String?) {
        writer.object { writer in
            writer.member("pix_key", pixKey)
            writer.member("bank_code", bankCode ?? absentTexts)
            writer.member("bank_branch", bankBranch)
            writer.member("bank_branch_digit", bankBranchDigit)
            writer.member("account", account)
            writer.member("account_digit", accountDigit)
            writer.member("account_type", accountType ?? absentTexts)
        }
    }
}

extension Parties {
    /// Whether they are about the holder of a document: as the beneficiary's, or as a PIX key.
    package func names(document: DocumentNumber) -> Bool {
        document.isWritten(as: beneficiary.documentNumber) || (pix.pixKey.map(document.isWritten) ?? false)
    }
}

extension Parties {
    /// The same with every text masked that says something of a person (`docs/contract.md` 14): kinds of documents and
    /// of accounts, banks and the country stay.
    package var masked: Parties {
        var masked = self
        func mask(_ text: String?) -> String? { text.map { Mask.text($0) } }
        masked.beneficiary.name = Mask.text(beneficiary.name)
        masked.beneficiary.documentNumber = Mask.text(beneficiary.documentNumber)
        masked.beneficiary.birthdate = mask(beneficiary.birthdate)
        masked.beneficiary.phone = mask(beneficiary.phone)
        masked.beneficiary.address = Address(
            address: mask(beneficiary.address.address), city: mask(beneficiary.address.city),
            country: beneficiary.address.country, stateCode: mask(beneficiary.address.stateCode),
            zipCode: mask(beneficiary.address.zipCode))
        masked.pix = Pix(
            pixKey: mask(pix.pixKey), bankCode: pix.bankCode, bankBranch: mask(pix.bankBranch),
            bankBranchDigit: mask(pix.bankBranchDigit), account: mask(pix.account),
            accountDigit: mask(pix.accountDigit), accountType: pix.accountType)
        masked.description = mask(description)
        masked.receiptMessage = mask(receiptMessage)
        return masked
    }
}
