import Crypto
import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// One delivery from claim to record (`docs/contract.md` 3.2 to 3.4).
struct DispatcherTests {
    private func paid(_ count: Int, _ fixture: EngineFixture) async throws -> [Int64] {
        let ids = try await fixture.store.createPayouts(count)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall)
        return ids
    }

    @Test("an attempt carries every header of the contract, and both signatures verify")
    func headers() async throws {
        let fixture = try await EngineFixture()
        _ = try await paid(1, fixture)
        try await fixture.dispatch()
        let exchange = try #require(fixture.transport.take().first)
        let body = exchange.request.body
        #expect(exchange.request.url.text == Fixtures.receiverURL)
        #expect(exchange.header("content-type") == "application/json")
        #expect(exchange.header("user-agent").hasPrefix("Reenvio/"))
        #expect(exchange.header("x-webhook-attempt") == "1")
        #expect(exchange.header("x-webhook-sequence") == "2")
        #expect(exchange.header("x-webhook-resend").isEmpty, "only on resends")
        #expect(exchange.header("x-webhook-attempt-id").count == 32)
        let id = exchange.header("webhook-id")
        #expect(WebhookID(id) != nil)
        let timestamp = exchange.header("webhook-timestamp")
        #expect(timestamp == String(fixture.clock.wall.seconds))
        let message = Array("\(id).\(timestamp).".utf8) + body
        let key = SymmetricKey(data: Array("test-signing-secret-0001".utf8))
        let expected = Data(HMAC<SHA256>.authenticationCode(for: message, using: key)).base64EncodedString()
        #expect(exchange.header("webhook-signature") == "v1,\(expected)")
        let compat = SHA256.hash(data: Array("inv-0BRL43.34\(try Fixtures.signingSecret.text)".utf8))
        #expect(exchange.header("x-webhook-wp-signature") == "Bearer \(Hex.text(compat))")
    }

    @Test("retries keep id and body, with a new attempt id, number, timestamp and signature")
    func retries() async throws {
        let fixture = try await EngineFixture()
        _ = try await paid(1, fixture)
        try await fixture.dispatch()
        let first = try #require(fixture.transport.take().first)
        first.answer(500)
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0)
        fixture.clock.advance(by: .milliseconds(4_999))
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0, "never sooner than the schedule")
        fixture.clock.advance(by: .milliseconds(501))
        try await fixture.dispatch()
        let second = try #require(fixture.transport.take().first)
        #expect(second.request.body == first.request.body)
        for name in ["webhook-id", "x-webhook-sequence", "x-webhook-wp-signature"] {
            #expect(second.header(name) == first.header(name))
        }
        for name in ["x-webhook-attempt", "x-webhook-attempt-id", "webhook-timestamp", "webhook-signature"] {
            #expect(second.header(name) != first.header(name))
        }
        #expect(second.header("x-webhook-attempt") == "2")
    }

    @Test("exactly 200 acknowledges", arguments: [200, 201, 202, 204, 301, 302, 400, 404, 500])
    func acknowledgement(_ code: Int) async throws {
        let fixture = try await EngineFixture()
        _ = try await paid(1, fixture)
        try await fixture.dispatch()
        fixture.transport.take().forEach { $0.answer(code) }
        try await fixture.dispatch()
        let settled = try await fixture.store.number("SELECT count(*) FROM settled WHERE state = 'acknowledged'")
        #expect(settled == (code == 200 ? 1 : 0))
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == (code == 200 ? 0 : 1))
    }

    @Test("410 stops at once; a used-up schedule exhausts")
    func ends() async throws {
        let fixture = try await EngineFixture(schedule: RetrySchedule(waits: [.zero, .seconds(1)]))
        let ids = try await paid(2, fixture)
        try await fixture.dispatch()
        for exchange in fixture.transport.take() {
            let isFirst = String(decoding: exchange.request.body, as: UTF8.self).hasPrefix(#"{"id":\#(ids[0]),"#)
            exchange.answer(isFirst ? 410 : 500)
        }
        try await fixture.dispatch()
        fixture.clock.advance(by: .seconds(2))
        try await fixture.dispatch()
        fixture.transport.take().forEach { $0.end(.failed(.timedOut)) }
        try await fixture.dispatch()
        let states = try await fixture.store.engine.read { db in
            try db.all("SELECT state, reason, attempts FROM settled ORDER BY object_id") {
                "\($0.text(0)) \($0.text(1)) \($0.int(2))"
            }
        }
        #expect(states == ["stopped gone 1", "exhausted timed_out 2"])
    }

    @Test("what the policy forbids is an attempt that never reaches the wire")
    func forbiddenAddress() async throws {
        let fixture = try await EngineFixture()
        let ids = try await paid(1, fixture)
        _ = try await fixture.store.engine.write(.intake) { db in
            try db.run("UPDATE payouts SET notification_url = 'https://10.0.0.1/' WHERE id = $1", [.int(ids[0])])
        }
        try await fixture.dispatch()
        #expect(fixture.transport.count == 0)
        let reason = try await fixture.store.engine.read { db in
            try db.first("SELECT reason FROM attempts") { $0.text(0) }
        }
        #expect(reason == "address_forbidden")
    }

    @Test("a result that cannot be written is kept and written later")
    func failedRecord() async throws {
        let holder = EngineHolder()
        let fixture = try await EngineFixture { base in
            let engine = FaultyEngine(base)
            holder.engine = engine
            return engine
        }
        let faulty = try #require(holder.engine)
        _ = try await paid(1, fixture)
        try await fixture.dispatch()
        fixture.transport.take().forEach { $0.answer(200) }
        faulty.fail(atStatement: 2)
        await #expect(throws: FaultyEngine.failure) { try await fixture.engine.dispatcher.step(now: fixture.clock.now) }
        faulty.disarm()
        try await fixture.dispatch()
        #expect(try await fixture.store.number("SELECT count(*) FROM settled WHERE state = 'acknowledged'") == 1)
    }

    @Test("few outcomes wait a moment for more; half of what runs, or nothing left to run, is written at once")
    func collecting() async throws {
        let fixture = try await EngineFixture()
        _ = try await paid(6, fixture)
        try await fixture.dispatch()
        let exchanges = fixture.transport.take()
        let settled = "SELECT count(*) FROM settled"
        exchanges[0].answer(200)
        guard case .wait(let rest) = try await fixture.engine.dispatcher.step(now: fixture.clock.now) else {
            Issue.record("one of six is not worth a commit yet")
            return
        }
        #expect(rest > .zero)
        #expect(try await fixture.store.number(settled) == 0)
        fixture.clock.advance(by: rest)
        try await fixture.dispatch()
        #expect(try await fixture.store.number(settled) == 1)
        exchanges[1...3].forEach { $0.answer(200) }
        try await fixture.dispatch()
        #expect(try await fixture.store.number(settled) == 4)
        exchanges[4...5].forEach { $0.answer(200) }
        try await fixture.dispatch()
        #expect(try await fixture.store.number(settled) == 6)
    }

    @Test("a lease that ran out is claimed again; the old result is late, and counted")
    func lostLease() async throws {
        let fixture = try await EngineFixture()
        _ = try await paid(1, fixture)
        try await fixture.dispatch()
        let first = try #require(fixture.transport.take().first)
        fixture.clock.advance(by: .seconds(31))
        try await fixture.dispatch()
        let second = try #require(fixture.transport.take().first)
        #expect(second.header("x-webhook-attempt") == "2")
        first.answer(200)
        try await fixture.dispatch()
        #expect(fixture.engine.dispatcher.lateResults == 1)
        second.answer(200)
        try await fixture.dispatch()
        #expect(try await fixture.store.number("SELECT count(*) FROM attempts") == 2)
        #expect(try await fixture.store.number("SELECT count(*) FROM settled") == 1)
    }

    @Test("shutdown records what ran and gives back what had not begun")
    func shutdown() async throws {
        let fixture = try await EngineFixture()
        _ = try await paid(2, fixture)
        try await fixture.dispatch()
        fixture.transport.take(at: 0)?.answer(200)
        await fixture.engine.dispatcher.finish()
        #expect(try await fixture.store.number("SELECT count(*) FROM settled") == 1)
        let left = try await fixture.store.rows(
            "SELECT attempts, due_at, claim_token IS NULL FROM deliveries", columns: 3)
        #expect(left == [[0, fixture.clock.engine.microseconds, 1]])
    }
}
