import Crypto
import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Events of v3 on their way to registrations (`docs/contract.md` 6.5, 8.4).
struct EventDeliveryTests {
    private func body(_ exchange: ScriptedTransport.Exchange) -> String {
        String(decoding: exchange.request.body, as: UTF8.self)
    }

    @Test func `one change is two messages, in the same commit`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT", authorization: "Basic dXNlcg==")
        let ids = try await fixture.store.createPayouts(1, merchantID: LogFixture.mirrorID, now: fixture.clock.wall)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        try await fixture.base.dispatch()
        let sent = fixture.base.transport.take()
        #expect(Set(sent.map(\.request.url.text)) == ["https://hooks.example/v3", Fixtures.receiverURL])
        let event = try #require(sent.first { $0.request.url.text == "https://hooks.example/v3" })
        #expect(
            body(event).hasPrefix(#"{"type":"PIX_CASHOUT_SUCCESS","data":{"worked":true,"transaction_id":\#(ids[0]),"#))
        #expect(body(event).contains(#""key":"82******00""#))
        #expect(body(event).contains(#""from_accout":"900002","recipient_name":"Maria Beneficiary"}}"#))
        #expect(event.header("authorization") == "Basic dXNlcg==")
        #expect(event.header("x-functions-key") == "")
        #expect(event.header("x-webhook-wp-signature") == "", "the compatibility header is v2's")
        #expect(event.header("x-webhook-sequence") == "2")
        let signed = WebhookSignature.standard(
            webhookID: event.header("webhook-id"), timestamp: try #require(Int64(event.header("webhook-timestamp"))),
            body: event.request.body, keys: [try Fixtures.signingSecret.key])
        #expect(event.header("webhook-signature") == signed)
        let webhook = try #require(sent.first { $0.request.url.text == Fixtures.receiverURL })
        #expect(webhook.header("x-webhook-wp-signature").hasPrefix("Bearer "))
        #expect(webhook.header("authorization") == "")
        #expect(webhook.header("webhook-id") != event.header("webhook-id"))
    }

    @Test func `each registration that takes the type gets it, others do not`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT", at: "https://one.example/a")
        _ = try await fixture.register("PIX_CASHOUT_SUCCESS", at: "https://two.example/b")
        _ = try await fixture.register("PIX_CASHOUT_ERROR", at: "https://three.example/c")
        _ = try await fixture.register("CASHIN", at: "https://four.example/d")
        _ = try await fixture.paid(1)
        try await fixture.base.dispatch()
        let sent = fixture.base.transport.take()
        #expect(sent.map(\.request.url.text).sorted() == ["https://one.example/a", "https://two.example/b"])
        #expect(Set(sent.map { $0.header("webhook-id") }).count == 1, "one notification, two deliveries")
    }

    @Test func `at most one CREATED per payout`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT")
        let ids = try await fixture.store.createPayouts(
            1, merchantID: LogFixture.mirrorID, url: nil, now: fixture.clock.wall)
        for status in [PayoutStatus.received, .inReview, .received, .processing, .rejected] {
            try await fixture.store.report(status, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        }
        var types: [String] = []
        try await fixture.deliver { exchange in
            types.append(String(body(exchange).prefix(32)))
            return 200
        }
        #expect(
            types.sorted() == [#"{"type":"PIX_CASHOUT_CREATED","d"#, #"{"type":"PIX_CASHOUT_ERROR","dat"#])
    }

    @Test func `bodies with people's data are sealed in the store`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.paid(1)
        let bodies = try await fixture.store.engine.read { db in
            try db.all("SELECT body FROM notifications WHERE key_id IS NOT NULL") { $0.blob(0) }
        }
        #expect(bodies.allSatisfy { $0.firstRange(of: Array("Maria".utf8)) == nil })
        #expect(try await fixture.store.number("SELECT count(*) FROM notifications WHERE key_id IS NOT NULL") == 1)
    }

    @Test func `a merchant that is no account mirror has no events`() async throws {
        let fixture = try await LogFixture()
        let ids = try await fixture.store.createPayouts(1, merchantID: 303, now: fixture.clock.wall)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall)
        #expect(try await fixture.store.number("SELECT count(*) FROM object_events") == 0)
    }

    @Test func `a QR code's life is told, and its data kept`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHIN")
        let code = try await fixture.qrCode()
        var data = JSONObject()
        data.set("end_to_end", .string("E99"))
        let paid = CashInReport(type: .qrCodePaid, data: QRCode.Data(stored: data))
        let after = try #require(try await fixture.engine.reportCashIn(paid, qrCodeID: code.id))
        #expect(after.status == .paid)
        #expect(try await fixture.engine.reportCashIn(paid, qrCodeID: 99) == nil)
        var bodies: [String: String] = [:]
        try await fixture.deliver { exchange in
            bodies[exchange.header("x-webhook-sequence")] = body(exchange)
            return 200
        }
        #expect(bodies["1"]?.contains(#""status":"NEW""#) == true)
        let second = try #require(bodies["2"])
        #expect(second.hasPrefix(#"{"type":"QR_CODE_COPY_AND_PASTE_PAID","data":{"amount":10,"#))
        #expect(second.contains(#""debtor_document":"0******32""#))
        #expect(second.hasSuffix(#""worked":true,"end_to_end":"E99","payment_date":null}}"#))
    }

    @Test func `a refund is told once, of a paid payout only`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("PIX_CASHOUT_REFUND")
        let ids = try await fixture.paid(1)
        let report = RefundReport(endToEnd: "D1", occurredAt: nil)
        #expect(try await fixture.engine.refundPayout(id: ids[0], report) == .applied)
        #expect(try await fixture.engine.refundPayout(id: ids[0], report) == .alreadyRefunded)
        #expect(try await fixture.engine.refundPayout(id: 9_999, report) == .notFound)
        let waiting = try await fixture.store.createPayouts(
            1, merchantID: LogFixture.mirrorID, prefix: "w", url: nil, now: fixture.clock.wall)
        #expect(try await fixture.engine.refundPayout(id: waiting[0], report) == .notPaid(.awaiting))
        try await fixture.base.dispatch()
        let sent = fixture.base.transport.take()
        #expect(sent.count == 1)
        #expect(
            body(sent[0]).hasSuffix(
                #""origin_end_to_end":null,"origin_transaction_id":\#(ids[0])}}"#))
        #expect(body(sent[0]).contains(#""end_to_end":"D1","status":"REFUNDED""#))
    }

    @Test func `a refund without a time is no earlier than the payment`() async throws {
        let fixture = try await LogFixture()
        let ids = try await fixture.store.createPayouts(
            1, merchantID: LogFixture.mirrorID, url: nil, now: fixture.clock.wall)
        let paidAt = fixture.clock.wall + .seconds(200)
        try await fixture.store.report(.paid, ids, at: paidAt, due: fixture.clock.engine)
        #expect(try await fixture.engine.refundPayout(id: ids[0], RefundReport(endToEnd: nil)) == .applied)
        let times = try await fixture.store.rows(
            "SELECT occurred_at FROM object_events ORDER BY seq", columns: 1)
        #expect(times == [[paidAt.microseconds], [paidAt.microseconds]])
    }

    @Test func `what waits follows its registration to a new address`() async throws {
        let fixture = try await LogFixture()
        let id = try await fixture.register("CASHOUT", at: "https://old.example/a")
        _ = try await fixture.paid(2)
        try await fixture.base.dispatch()
        for exchange in fixture.base.transport.take() { exchange.answer(500) }
        try await fixture.base.dispatch()
        let change = RegistrationChange(url: try ReceiverURL(parsing: "https://new.example/b", policy: AddressPolicy()))
        _ = try await fixture.store.updateRegistration(
            id: id, change, by: Requester(actor: "test"), now: fixture.clock.wall)
        let moved = try await fixture.store.moveRegistrations(
            now: fixture.clock.wall, engineNow: fixture.clock.engine)
        #expect(moved.moved == 2)
        #expect(!moved.hasMore)
        fixture.clock.advance(by: .seconds(6))
        try await fixture.base.dispatch()
        let sent = fixture.base.transport.take()
        #expect(sent.map(\.request.url.text) == ["https://new.example/b", "https://new.example/b"])
        #expect(sent.allSatisfy { $0.header("x-webhook-attempt") == "2" })
    }

    @Test func `what comes due at an address that was left goes to the new one`() async throws {
        let fixture = try await LogFixture()
        let id = try await fixture.register("CASHOUT", at: "https://old.example/a")
        _ = try await fixture.paid(1)
        let change = RegistrationChange(url: try ReceiverURL(parsing: "https://new.example/b", policy: AddressPolicy()))
        _ = try await fixture.store.updateRegistration(
            id: id, change, by: Requester(actor: "test"), now: fixture.clock.wall)
        // The first claim finds where it belongs, the next one sends it.
        try await fixture.base.dispatch()
        try await fixture.base.dispatch()
        #expect(fixture.base.transport.take().map(\.request.url.text) == ["https://new.example/b"])
    }

    @Test func `a deleted registration gets nothing more, and what waits for it ends as canceled`() async throws {
        let fixture = try await LogFixture()
        let id = try await fixture.register("CASHOUT")
        _ = try await fixture.paid(3)
        #expect(
            try await fixture.store.deleteRegistration(
                id: id, by: Requester(actor: "test"), now: fixture.clock.wall))
        try await fixture.base.dispatch()
        #expect(fixture.base.transport.count == 0)
        let moved = try await fixture.store.moveRegistrations(
            now: fixture.clock.wall, engineNow: fixture.clock.engine)
        #expect(moved.moved == 3)
        #expect(
            try await fixture.store.number(
                "SELECT count(*) FROM settled WHERE state = 'skipped' AND reason = 'canceled'") == 3)
        #expect(try await fixture.store.number("SELECT count(*) FROM registrations WHERE is_moving = 1") == 0)
    }
}
