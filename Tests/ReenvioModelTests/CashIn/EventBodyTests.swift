import ReenvioModel
import Testing

/// The envelopes of v3, byte for byte (`docs/contract.md` 8).
struct EventBodyTests {
    private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

    private func object(_ text: String) throws -> JSONObject {
        guard case .object(let object) = try JSONParser.parse(text.utf8) else { throw Faults("body", "no object") }
        return object
    }

    private func cashOut(_ type: EventType, _ addition: CashOutEvent.Addition = .none) -> CashOutEvent {
        CashOutEvent(
            type: type, transactionID: 66_300_134, endToEnd: "E35535240202", amount: Money(minor: 1, currency: "BRL"),
            pixKey: "14538220647", paymentDate: nil, fromAccount: "900002", recipientName: "Recipient Name",
            addition: addition)
    }

    @Test func `a paid payout is PIX_CASHOUT_SUCCESS with the eleven keys, misspelling included`() {
        var event = cashOut(.pixCashOutSuccess)
        event.paymentDate = Timestamp(seconds: 1_778_509_210)
        #expect(
            text(event.body)
                == #"{"type":"PIX_CASHOUT_SUCCESS","data":{"worked":true,"transaction_id":66300134,"#
                + #""end_to_end":"E35535240202","status":"SUCCESS","amount":0.01,"fee":0.0,"key":"14******47","#
                + #""tag":null,"payment_date":"2026-05-11T14:20:10Z","from_accout":"900002","#
                + #""recipient_name":"Recipient Name"}}"#)
    }

    @Test(
        "each type adds what is its own, behind the eleven keys",
        arguments: [
            (EventType.pixCashOutCreated, CashOutEvent.Addition.none, "NEW", #""recipient_name":"Recipient Name"}}"#),
            (.pixCashOutError, .error("No such key"), "ERROR", #""Recipient Name","error":"No such key"}}"#),
            (
                .pixCashOutCanceled, .cancelDescription(nil), "CANCELED",
                #""Recipient Name","cancel_description":null}}"#
            ),
            (
                .pixCashOutRefund, .refund(originEndToEnd: "E1"), "REFUNDED",
                #""Recipient Name","origin_end_to_end":"E1","origin_transaction_id":66300134}}"#
            ),
        ])
    func additions(_ type: EventType, _ addition: CashOutEvent.Addition, _ status: String, _ end: String) {
        let body = text(cashOut(type, addition).body)
        #expect(body.contains(#""status":"\#(status)""#))
        #expect(body.hasSuffix(end))
    }

    @Test(
        "which event a status is",
        arguments: [
            (PayoutStatus.received, EventType.pixCashOutCreated as EventType?), (.inReview, .pixCashOutCreated),
            (.paid, .pixCashOutSuccess), (.rejected, .pixCashOutError), (.expired, .pixCashOutError),
            (.invalidData, .pixCashOutError), (.canceled, .pixCashOutCanceled), (.awaiting, nil), (.processing, nil),
            (.processed, nil),
        ])
    func mapping(_ status: PayoutStatus, _ type: EventType?) {
        #expect(CashOutEvent.type(of: status) == type)
    }

    @Test func `a QR code's event has the keys of 8_2 in their order, with defaults and a masked document`() throws {
        let body = #"{"merchant_id":303,"amount":10,"debtor_document":"08293847532","debtor_name":"Payer Name"}"#
        let draft = try #require(QRCodeDraft.read(try object(body)).draft)
        let event = CashInEvent(
            type: .qrCodeCreated, qrCode: QRCode(id: 1, status: .new, data: draft.data), accountNumber: "00001",
            agencyNumber: "0001")
        #expect(
            text(event.body)
                == #"{"type":"QR_CODE_COPY_AND_PASTE_CREATED","data":{"amount":10,"amount_chargeback":0,"#
                + #""base_64_image":null,"base_64_image_url":null,"account_number":"00001","agency_number":"0001","#
                + #""debtor_document":"0******32","debtor_name":"Payer Name","due_date":null,"expiration_date":null,"#
                + #""fee":0,"fine":null,"fine_date":null,"pix_copy_and_paste":null,"qr_code_id":1,"status":"NEW","#
                + #""tag":"NONE","tx_id":null,"type_document":null,"type_fine":"NONE","worked":true}}"#)
    }

    @Test(
        "what events add to a QR code",
        arguments: [
            (EventType.qrCodePaid, #"{"end_to_end":"E1"}"#, #""worked":true,"end_to_end":"E1","payment_date":null}}"#),
            (.qrCodeRefunded, #"{"amount_chargeback":4}"#, #""worked":true}}"#),
            (.qrCodeRefundedError, #"{}"#, #""worked":true,"chargeback_id":null}}"#),
            (.pixCashInRefundedError, #"{"chargeback_id":7}"#, #""worked":true,"chargeback_id":7}}"#),
        ])
    func reports(_ type: EventType, _ data: String, _ end: String) throws {
        let body = #"{"type":"\#(type.rawValue)","data":\#(data)}"#
        let report = try CashInReport.parse(try object(body), now: Timestamp(seconds: 0))
        var object = JSONObject()
        object.set("amount", .number(JSONNumber(Int64(10))))
        let code = QRCode(
            id: 1, status: .new, data: QRCode.Data(stored: object).updated(with: report.data))
        let event = CashInEvent(type: type, qrCode: code, accountNumber: "1", agencyNumber: "1")
        #expect(text(event.body).hasSuffix(end))
    }

    @Test func `a payment pays, a refund charges back, all else keeps the status`() {
        #expect(QRCode.status(after: .qrCodePaid, from: .new) == .paid)
        #expect(QRCode.status(after: .qrCodeRefunded, from: .paid) == .chargeback)
        #expect(QRCode.status(after: .pixCashInRefunded, from: .paid) == .chargeback)
        for type in [EventType.qrCodeCreated, .qrCodeRefundedError, .pixCashInReceived, .pixCashInRefundedError] {
            #expect(QRCode.status(after: type, from: .paid) == .paid)
        }
    }

    @Test(
        "what a QR code may not say",
        arguments: [
            (#"{"amount":10}"#, "merchant_id"), (#"{"merchant_id":303}"#, "amount"),
            (#"{"merchant_id":303,"amount":0}"#, "amount"), (#"{"merchant_id":303,"amount":"10"}"#, "amount"),
            (#"{"merchant_id":303,"amount":10.001}"#, "amount"),
            (#"{"merchant_id":303,"amount":10,"tag":7}"#, "tag"),
            (#"{"merchant_id":303,"amount":10,"fee":"0"}"#, "fee"),
        ])
    func faults(_ body: String, _ field: String) throws {
        let reading = QRCodeDraft.read(try object(body))
        #expect(reading.draft == nil)
        #expect(reading.faults[field] != nil)
    }

    @Test(
        "what an event of a QR code may not say",
        arguments: [
            (#"{"data":{}}"#, "type"), (#"{"type":"PIX_CASHOUT_SUCCESS"}"#, "type"),
            (#"{"type":"qr_code_copy_and_paste_paid"}"#, "type"),
            (#"{"type":"PIX_CASHIN_RECEIVED","data":[]}"#, "data"),
            (#"{"type":"PIX_CASHIN_RECEIVED","data":{"end_to_end":1}}"#, "data.end_to_end"),
            (#"{"type":"PIX_CASHIN_RECEIVED","occurred_at":"2026-01-01T00:00:00"}"#, "occurred_at"),
            (#"{"type":"PIX_CASHIN_RECEIVED","occurred_at":"1970-01-01T00:05:01Z"}"#, "occurred_at"),
        ])
    func reportFaults(_ body: String, _ field: String) throws {
        let body = try object(body)
        let faults = #expect(throws: Faults.self) { try CashInReport.parse(body, now: Timestamp(seconds: 0)) }
        #expect(faults?[field] != nil)
    }
}
