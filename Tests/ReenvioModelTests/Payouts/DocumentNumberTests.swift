import ReenvioModel
import Testing

/// CPF and CNPJ, whose letters count in upper case (`docs/contract.md` 2.1 and 14).
struct DocumentNumberTests {
    @Test(
        "a number is found however people write it",
        arguments: [
            ("12ABC34501DE35", "12ABC34501DE35"), ("12abc34501de35", "12ABC34501DE35"),
            ("12.ABC.345/01DE-35", "12ABC34501DE35"), ("12.abc.345/01de-35", "12ABC34501DE35"),
            (" 12 ABC 345 01DE 35", "12ABC34501DE35"), ("12345678000195", "12345678000195"),
            ("12.345.678/0001-95", "12345678000195"), ("826.082.882-00", "82608288200"),
            ("82608288200", "82608288200"),
        ])
    func written(_ text: String, _ number: String) throws {
        #expect(DocumentNumber(written: text)?.text == number)
        #expect(try #require(DocumentNumber(written: number)).isWritten(as: text))
    }

    @Test(
        "anything else is none",
        arguments: [
            "", "1", "8260828820", "826082882001", "8260828820X", "12ABC34501DE3X", "12ABC34501DE3", "12ÁBC34501DE35",
            "12_ABC_34501DE35", "1２345678000195", "ana@example.com", "7d9f0335-8dcc-4054-9bf9-0dbd61d36906",
        ])
    func other(_ text: String) throws {
        #expect(DocumentNumber(written: text) == nil)
        #expect(try #require(DocumentNumber(written: "82608288200")).isWritten(as: text) == false)
        #expect(DocumentNumber.stored(text) == text)
    }

    @Test("a free text that is a number is stored in upper case, its punctuation as it came")
    func stored() {
        #expect(DocumentNumber.stored("12.abc.345/01de-35") == "12.ABC.345/01DE-35")
        #expect(DocumentNumber.stored("0******32") == "0******32")
        #expect(Mask.debtorDocument(DocumentNumber.stored("z2abc34501de35")) == "Z******35")
    }

    @Test("people are found by document: as beneficiary, as PIX key, as debtor; PIX keys stay as they came")
    func names() throws {
        let document = try #require(DocumentNumber(written: "12ABC34501DE35"))
        func parties(_ number: String, _ key: String) -> Parties {
            Parties(
                beneficiary: Parties.Beneficiary(name: "Ana", documentType: "CNPJ", documentNumber: number),
                pix: Parties.Pix(pixKey: key))
        }
        #expect(parties("12ABC34501DE35", "k").names(document: document))
        #expect(parties("82608288200", "12abc34501de35").names(document: document))
        #expect(parties("82608288200", "12.abc.345/01DE-35").names(document: document))
        #expect(!parties("82608288200", "12ABC34501DE36").names(document: document))
        let body = try jsonObject(#"{"amount":1,"debtor_document":"12.abc.345/01de-35","pix_copy_and_paste":"a1"}"#)
        var fields = FieldReader(body)
        let data = QRCode.Data.readNew(&fields)
        #expect(fields.faults.isEmpty)
        #expect(data["debtor_document"] == .string("12.ABC.345/01DE-35"))
        #expect(data["pix_copy_and_paste"] == .string("a1"))
        #expect(data.names(document: document))
    }
}
