import ReenvioModel
import Testing

/// A body as a payer would send it; tests change one member.
func payoutBody() throws -> JSONObject {
    try jsonObject(
        """
        {"merchant_id":303,"payment_method":"PIX","currency":"BRL","country":"BR","amount":43.34,"invoice":"inv-1",
         "description":"Salary","notification_url":"https://a.example/hook","purpose":"31","receipt_message":"Thanks",
         "beneficiary":{"name":"Ana","document":{"type":"CPF","number":"82608288200"},"birthdate":"1990-01-31",
           "phone":"+5511999990000",
           "address":{"address":"Rua A, 1","city":"Recife","country":"BR","state_code":"PE","zip_code":"50000000"}},
         "pix":{"pix_key":"82608288200"},
         "remitter":{"name":5},"originator_legal_entity":null,"extra":[{}]}
        """)
}

private let bankAccount =
    #"{"bank_code":"341","bank_branch":"0001","bank_branch_digit":"2","account":"12345","account_digit":"6","#
    + #""account_type":"checking"}"#

@Suite struct PayoutDraftTests {
    private func read(_ object: JSONObject) -> PayoutDraft.Reading {
        PayoutDraft.read(object, policy: AddressPolicy())
    }

    @Test func readsEveryField() throws {
        let reading = read(try payoutBody())
        #expect(reading.faults.isEmpty)
        #expect(reading.merchantID == 303)
        let address = Parties.Address(
            address: "Rua A, 1", city: "Recife", country: "BR", stateCode: "PE", zipCode: "50000000")
        let beneficiary = Parties.Beneficiary(
            name: "Ana", documentType: "CPF", documentNumber: "82608288200", birthdate: "1990-01-31",
            phone: "+5511999990000", address: address)
        let expected = PayoutDraft(
            merchantID: 303, invoice: "inv-1", amount: Money(minor: 4_334, currency: "BRL"), purpose: "31",
            notificationURL: try ReceiverURL(parsing: "https://a.example/hook", policy: AddressPolicy()),
            parties: Parties(
                beneficiary: beneficiary, pix: Parties.Pix(pixKey: "82608288200"), description: "Salary",
                receiptMessage: "Thanks"))
        #expect(reading.draft == expected)
    }

    @Test func readsABankAccount() throws {
        let draft = try #require(read(try payoutBody().with("pix", bankAccount)).draft)
        let expected = Parties.Pix(
            bankCode: "341", bankBranch: "0001", bankBranchDigit: "2", account: "12345", accountDigit: "6",
            accountType: "checking")
        #expect(draft.parties.pix == expected)
    }

    @Test func fillsInDefaults() throws {
        let body = try jsonObject(
            """
            {"payment_method":"PIX","currency":"BRL","country":"BR","amount":1,"invoice":"i",
             "beneficiary":{"name":"A","document":{"type":"CNPJ","number":"12345678000195"}},"pix":{"pix_key":"k"}}
            """)
        let draft = try #require(read(body).draft)
        #expect(draft.merchantID == nil)
        #expect(draft.purpose == "20")
        #expect(draft.notificationURL == nil)
        let beneficiary = Parties.Beneficiary(
            name: "A", documentType: "CNPJ", documentNumber: "12345678000195", birthdate: nil, phone: nil,
            address: Parties.Address())
        #expect(draft.parties == Parties(beneficiary: beneficiary, pix: Parties.Pix(pixKey: "k")))
    }

    static let optionalTexts = [
        "description", "notification_url", "purpose", "receipt_message", "beneficiary.birthdate", "beneficiary.phone",
        "beneficiary.address.address", "beneficiary.address.city", "beneficiary.address.country",
        "beneficiary.address.state_code", "beneficiary.address.zip_code",
    ]

    /// Null and empty text count as absent: each reads like a body without the member.
    @Test(arguments: optionalTexts, ["null", #""""#])
    func takesNothingForAbsent(path: String, nothing: String) throws {
        let draft = try #require(read(try payoutBody().with(path, nothing)).draft)
        #expect(draft == read(try payoutBody().with(path, nil)).draft)
        #expect(draft != read(try payoutBody()).draft)
    }

    @Test(arguments: ["merchant_id", "beneficiary.address"])
    func takesNullForAbsent(path: String) throws {
        let draft = try #require(read(try payoutBody().with(path, "null")).draft)
        #expect(draft == read(try payoutBody().with(path, nil)).draft)
    }

    static let requiredTexts = [
        "payment_method", "currency", "country", "invoice", "beneficiary.name", "beneficiary.document.type",
        "beneficiary.document.number",
    ]

    @Test(arguments: requiredTexts, [nil, "null", #""""#])
    func asksForRequiredTexts(path: String, nothing: String?) throws {
        let reading = read(try payoutBody().with(path, nothing))
        #expect(reading.draft == nil)
        #expect(rendered(reading.faults) == #"{"\#(path)":["The \#(path) field is required."]}"#)
    }

    @Test(arguments: [nil, "null"])
    func asksForTheAmount(nothing: String?) throws {
        let reading = read(try payoutBody().with("amount", nothing))
        #expect(rendered(reading.faults) == #"{"amount":["The amount field is required."]}"#)
    }

    @Test(arguments: requiredTexts + optionalTexts, ["1", "true", "[]", "{}"])
    func refusesWhatIsNoText(path: String, value: String) throws {
        let reading = read(try payoutBody().with(path, value))
        #expect(reading.draft == nil)
        #expect(rendered(reading.faults) == #"{"\#(path)":["The \#(path) field must be a string."]}"#)
    }

    @Test(arguments: [#""43.34""#, #""""#, "true", "[43.34]", "{}"])
    func refusesAnAmountThatIsNoNumber(value: String) throws {
        let reading = read(try payoutBody().with("amount", value))
        #expect(rendered(reading.faults) == #"{"amount":["The amount field must be a number."]}"#)
    }

    @Test(arguments: [
        ("0", "must be greater than 0."), ("-1", "must be greater than 0."),
        ("43.341", "must not have more than 2 decimals."), ("1000000000", "must not be greater than 999999999.99."),
    ])
    func judgesTheAmount(value: String, text: String) throws {
        let reading = read(try payoutBody().with("amount", value))
        #expect(rendered(reading.faults) == #"{"amount":["The amount field \#(text)"]}"#)
    }

    @Test(arguments: [#""303""#, #""""#, "303.0", "1e2", "true", "[]", "9223372036854775808"])
    func refusesAMerchantThatIsNoInteger(value: String) throws {
        let reading = read(try payoutBody().with("merchant_id", value))
        #expect(rendered(reading.faults) == #"{"merchant_id":["The merchant_id field must be an integer."]}"#)
        #expect(reading.merchantID == nil)
    }

    /// The caller judges the merchant together with the rest.
    @Test func namesTheMerchantOfAFaultyBody() throws {
        let reading = read(try payoutBody().with("invoice", nil))
        #expect(reading.draft == nil)
        #expect(reading.merchantID == 303)
    }

    @Test(arguments: [("invoice", 255), ("description", 255), ("beneficiary.name", 100)])
    func countsCharacters(path: String, most: Int) throws {
        for letter in ["a", "é", "😀"] {
            let longest = String(repeating: letter, count: most)
            #expect(read(try payoutBody().with(path, "\"\(longest)\"")).draft != nil)
            let reading = read(try payoutBody().with(path, "\"\(longest)\(letter)\""))
            let text = "The \(path) field must not be longer than \(most) characters."
            #expect(rendered(reading.faults) == #"{"\#(path)":["\#(text)"]}"#)
        }
    }

    @Test func countsTheCharactersOfAURL() throws {
        let start = "https://a.example/"
        let longest = start + String(repeating: "x", count: 255 - start.count)
        #expect(read(try payoutBody().with("notification_url", "\"\(longest)\"")).draft != nil)
        let reading = read(try payoutBody().with("notification_url", "\"\(longest)x\""))
        let text = "The notification_url field must not be longer than 255 characters."
        #expect(rendered(reading.faults) == #"{"notification_url":["\#(text)"]}"#)
    }

    @Test(arguments: [
        ("http://a.example", "must be an https URL"), ("a.example", ReceiverURLFault.malformed.rule),
        ("https://user@a.example/", "must not contain user info"), ("https://a.example:0", ReceiverURLFault.port.rule),
        ("https://a b.example", ReceiverURLFault.blanks.rule), ("https:///x", "must be a URL with a host"),
        ("https://127.1/", ReceiverURLFault.hostSpelling.rule),
    ])
    func saysWhatIsWrongWithAReceiver(url: String, rule: String) throws {
        let reading = read(try payoutBody().with("notification_url", "\"\(url)\""))
        let text = "The notification_url field \(rule)."
        #expect(rendered(reading.faults) == #"{"notification_url":["\#(text)"]}"#)
    }

    @Test func takesAReceiverInAnyScript() throws {
        let draft = read(try payoutBody().with("notification_url", #""https://café.example/ação""#)).draft
        #expect(draft?.notificationURL?.origin == "https://xn--caf-dma.example:443")
        #expect(draft?.notificationURL?.text == "https://café.example/ação", "stored and answered as it was given")
    }

    @Test(arguments: [
        "https://127.0.0.1/", "https://10.0.0.1", "https://[::1]/", "https://localhost",
        "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::a00:1]/", "https://169.254.169.254/",
    ])
    func wantsAPublicHTTPSReceiver(url: String) throws {
        let reading = read(try payoutBody().with("notification_url", "\"\(url)\""))
        let text = "The notification_url field must be an https URL with a public host."
        #expect(rendered(reading.faults) == #"{"notification_url":["\#(text)"]}"#)
    }

    @Test func mayAllowOtherReceivers() throws {
        let policy = AddressPolicy(allowed: [try #require(CIDR("127.0.0.0/8"))], allowHTTP: true)
        let body = try payoutBody().with("notification_url", #""http://127.0.0.1:8080/hook""#)
        #expect(PayoutDraft.read(body, policy: policy).draft?.notificationURL?.origin == "http://127.0.0.1:8080")
    }

    @Test(arguments: [
        ("payment_method", "TED"), ("payment_method", "pix"), ("currency", "USD"), ("currency", "brl"),
        ("country", "US"), ("country", "br"), ("beneficiary.document.type", "RG"), ("beneficiary.document.type", "cpf"),
    ])
    func refusesOtherChoices(path: String, value: String) throws {
        let reading = read(try payoutBody().with(path, "\"\(value)\""))
        #expect(reading.draft == nil)
        #expect(reading.faults.entries.map(\.field) == [path])
    }
}
