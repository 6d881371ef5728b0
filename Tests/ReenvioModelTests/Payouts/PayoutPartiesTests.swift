import ReenvioModel
import Testing

/// Whom a draft pays: documents, nested keys, the two PIX variants, and the stored form.
@Suite struct PayoutPartiesTests {
    private func faults(_ object: JSONObject) -> String {
        rendered(PayoutDraft.read(object, policy: AddressPolicy()).faults)
    }

    // MARK: Document

    @Test(arguments: [
        ("CPF", "82608288200", nil), ("CPF", "00000000000", nil), ("CNPJ", "12345678000195", nil),
        ("CPF", "8260828820", "must have 11 digits."), ("CPF", "826082882001", "must have 11 digits."),
        ("CPF", "12345678000195", "must have 11 digits."),
        ("CNPJ", "82608288200", "must have 14 digits or letters."),
        ("CNPJ", "123456780001950", "must have 14 digits or letters."),
        ("CNPJ", "12ABC34501DE35", nil), ("CNPJ", "12abc34501de35", nil), ("CNPJ", "ABCDEFGHIJKL00", nil),
        ("CNPJ", "12ABC34501DE3", "must have 14 digits or letters."),
        ("CNPJ", "12ABC34501DE3X", "must end with 2 digits."), ("CNPJ", "12ABC34501DEAB", "must end with 2 digits."),
        ("CNPJ", "12.ABC.345/01DE-35", "must contain digits and letters only."),
        ("CNPJ", "12ABC34501DÉ35", "must contain digits and letters only."),
        ("CPF", "12ABC34501D", "must contain digits only."),
        ("CPF", "826.082.882-00", "must contain digits only."), ("CPF", "8260828820x", "must contain digits only."),
        ("CPF", " 82608288200", "must contain digits only."), ("CPF", "٨٢٦٠٨٢٨٨٢٠٠", "must contain digits only."),
        ("CPF", "８２６０８２８８２００", "must contain digits only."),
        ("CNPJ", "-2345678000195", "must contain digits and letters only."),
    ])
    func judgesTheDocument(type: String, number: String, text: String?) throws {
        let body = try payoutBody().with("beneficiary.document", #"{"type":"\#(type)","number":"\#(number)"}"#)
        let key = "beneficiary.document.number"
        #expect(faults(body) == (text.map { #"{"\#(key)":["The \#(key) field \#($0)"]}"# } ?? "{}"))
    }

    @Test func keepsADocumentInUpperCase() throws {
        let body = try payoutBody().with("beneficiary.document", #"{"type":"CNPJ","number":"12abc34501de35"}"#)
        let draft = try #require(PayoutDraft.read(body, policy: AddressPolicy()).draft)
        #expect(draft.parties.beneficiary.documentNumber == "12ABC34501DE35")
    }

    @Test func judgesTheNumberWithoutAType() throws {
        let body = try payoutBody().with("beneficiary.document", #"{"number":"12-3"}"#)
        #expect(
            faults(body)
                == #"{"beneficiary.document.type":["The beneficiary.document.type field is required."],"#
                + #""beneficiary.document.number":["The beneficiary.document.number field must contain digits only."]}"#
        )
    }

    // MARK: Nesting

    static let missingDocument =
        #""beneficiary.document.type":["The beneficiary.document.type field is required."],"#
        + #""beneficiary.document.number":["The beneficiary.document.number field is required."]"#

    @Test(arguments: [nil, "null", "{}", #"{"document":null}"#, #"{"document":{}}"#])
    func namesTheLeavesOfAnAbsentBeneficiary(value: String?) throws {
        let body = try payoutBody().with("beneficiary", value)
        #expect(
            faults(body)
                == #"{"beneficiary.name":["The beneficiary.name field is required."],"# + Self.missingDocument + "}")
    }

    @Test(arguments: [nil, "null", "{}"])
    func namesTheLeavesOfAnAbsentDocument(value: String?) throws {
        #expect(faults(try payoutBody().with("beneficiary.document", value)) == "{" + Self.missingDocument + "}")
    }

    @Test(
        arguments: ["beneficiary", "beneficiary.document", "beneficiary.address", "pix"], [#""x""#, #""""#, "[]", "1"])
    func refusesWhatIsNoObject(path: String, value: String) throws {
        #expect(
            faults(try payoutBody().with(path, value)) == #"{"\#(path)":["The \#(path) field must be an object."]}"#)
    }

    // MARK: PIX

    static let ambiguous = #"{"pix":["The pix field must hold either a pix_key or the bank account fields."]}"#
    static let account = #""bank_code":"341","bank_branch":"1","account":"5","account_type":"checking""#

    @Test(arguments: [
        nil, "null", "{}", #"{"pix_key":null}"#, #"{"pix_key":""}"#, #"{"pix_key":"","bank_code":"","account":null}"#,
        #"{"other":"x"}"#,
    ])
    func refusesNeitherVariant(value: String?) throws {
        #expect(faults(try payoutBody().with("pix", value)) == Self.ambiguous)
    }

    @Test(arguments: [
        #"{"pix_key":"k","# + account + "}", #"{"pix_key":"k","bank_code":"341"}"#,
        #"{"pix_key":"k","bank_branch":"1"}"#,
        #"{"pix_key":"k","bank_branch_digit":"1"}"#, #"{"pix_key":"k","account":"1"}"#,
        #"{"pix_key":"k","account_digit":"1"}"#, #"{"pix_key":"k","account_type":"checking"}"#,
    ])
    func refusesBothVariants(value: String) throws {
        #expect(faults(try payoutBody().with("pix", value)) == Self.ambiguous)
    }

    @Test(arguments: [
        "{\(account)}", #"{"pix_key":"",\#(account)}"#, #"{"pix_key":null,\#(account),"bank_branch_digit":"0"}"#,
        #"{"pix_key":"k"}"#, #"{"pix_key":"k","bank_code":"","account":null,"account_type":""}"#,
    ])
    func acceptsOneVariant(value: String) throws {
        #expect(faults(try payoutBody().with("pix", value)) == "{}")
    }

    @Test(arguments: ["bank_code", "bank_branch", "account", "account_type"], [nil, "null", #""""#])
    func asksForTheWholeAccount(key: String, nothing: String?) throws {
        let body = try payoutBody().with("pix", "{\(Self.account)}").with("pix.\(key)", nothing)
        #expect(faults(body) == #"{"pix.\#(key)":["The pix.\#(key) field is required."]}"#)
    }

    @Test(arguments: ["bank_branch_digit", "account_digit"])
    func asksForEverythingAroundADigit(key: String) throws {
        let required = ["bank_code", "bank_branch", "account", "account_type"]
        let expected = required.map { #""pix.\#($0)":["The pix.\#($0) field is required."]"# }
        #expect(
            faults(try payoutBody().with("pix", #"{"\#(key)":"1"}"#)) == "{" + expected.joined(separator: ",") + "}")
    }

    @Test(arguments: [
        "pix_key", "bank_code", "bank_branch", "bank_branch_digit", "account", "account_digit", "account_type",
    ])
    func refusesMembersThatAreNoText(key: String) throws {
        let body = try payoutBody().with("pix", #"{"\#(key)":341}"#)
        #expect(faults(body) == #"{"pix.\#(key)":["The pix.\#(key) field must be a string."]}"#)
    }

    // MARK: All at once

    @Test func namesEverythingMissing() {
        let required = ["payment_method", "currency", "country", "amount", "invoice", "beneficiary.name"]
        let expected = required.map { #""\#($0)":["The \#($0) field is required."]"# }
        #expect(
            faults(JSONObject())
                == "{" + expected.joined(separator: ",") + "," + Self.missingDocument + "," + Self.ambiguous.dropFirst()
        )
    }

    @Test func namesEveryFault() throws {
        let body = try jsonObject(
            """
            {"merchant_id":"303","payment_method":1,"currency":true,"country":[],"amount":"1","invoice":7,
             "description":{},
             "notification_url":5,"purpose":20,"receipt_message":[],
             "beneficiary":{"name":0,"document":{"type":1,"number":82608288200},"birthdate":1990,"phone":55,
               "address":{"address":1,"city":2,"country":3,"state_code":4,"zip_code":5}},
             "pix":{"pix_key":1,"account":2}}
            """)
        let texts = [
            "description", "notification_url", "purpose", "receipt_message", "beneficiary.name",
            "beneficiary.document.type", "beneficiary.document.number", "beneficiary.birthdate", "beneficiary.phone",
            "beneficiary.address.address", "beneficiary.address.city", "beneficiary.address.country",
            "beneficiary.address.state_code", "beneficiary.address.zip_code", "pix.pix_key", "pix.account",
        ]
        func line(_ key: String, _ kind: String) -> String { #""\#(key)":["The \#(key) field must be \#(kind)."]"# }
        let expected =
            [line("merchant_id", "an integer")]
            + ["payment_method", "currency", "country"].map { line($0, "a string") }
            + [line("amount", "a number"), line("invoice", "a string")] + texts.map { line($0, "a string") }
        #expect(faults(body) == "{" + expected.joined(separator: ",") + "}")
    }

    // MARK: Stored form

    @Test func keepsEveryMember() throws {
        for pix in [#"{"pix_key":"k"}"#, "{\(Self.account),\"bank_branch_digit\":\"1\",\"account_digit\":\"2\"}"] {
            let body = try payoutBody().with("pix", pix)
            let parties = try #require(PayoutDraft.read(body, policy: AddressPolicy()).draft).parties
            let stored = try jsonObject(String(decoding: parties.json, as: UTF8.self))
            #expect(Parties(json: stored) == parties)
        }
    }

    @Test func storesTheDocumentedShape() throws {
        let parties = try #require(PayoutDraft.read(try payoutBody(), policy: AddressPolicy()).draft).parties
        let expected =
            #"{"beneficiary":{"name":"Ana","document":{"type":"CPF","number":"82608288200"},"birthdate":"1990-01-31","#
            + #""phone":"+5511999990000","address":{"address":"Rua A, 1","city":"Recife","country":"BR","#
            + #""state_code":"PE","zip_code":"50000000"}},"pix":{"pix_key":"82608288200","bank_code":null,"#
            + #""bank_branch":null,"bank_branch_digit":null,"account":null,"account_digit":null,"account_type":null},"#
            + #""description":"Salary","receipt_message":"Thanks"}"#
        #expect(String(decoding: parties.json, as: UTF8.self) == expected)
    }

    /// `docs/contract.md` 2.1: an absent `bank_code` and `account_type` are shown as empty text, the others as null.
    @Test func showsAbsentMembers() {
        var writer = JSONWriter()
        Parties.Pix(pixKey: "82608288200").write(into: &writer, absentTexts: "")
        let expected =
            #"{"pix_key":"82608288200","bank_code":"","bank_branch":null,"bank_branch_digit":null,"account":null,"#
            + #""account_digit":null,"account_type":""}"#
        #expect(String(decoding: writer.bytes, as: UTF8.self) == expected)
    }

    @Test(arguments: ["beneficiary", "beneficiary.name", "beneficiary.document", "beneficiary.document.number"])
    func readsNoDamagedForm(path: String) throws {
        let parties = try #require(PayoutDraft.read(try payoutBody(), policy: AddressPolicy()).draft).parties
        let stored = try jsonObject(String(decoding: parties.json, as: UTF8.self))
        #expect(Parties(json: try stored.with(path, nil)) == nil)
    }
}
