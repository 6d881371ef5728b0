import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The delivery log (`docs/contract.md` 13.10) and the resend of one payout (13.9), after real steps of the engine.
struct DeliveryLogTests {
    private func log(_ fixture: EngineFixture, _ id: Int64) async throws -> [LoggedNotification] {
        try #require(
            try await fixture.store.deliveryLog(payoutID: id, accountID: nil, now: fixture.clock.engine))
    }

    private func resendOne(
        _ fixture: EngineFixture, _ id: Int64, accountID: Int64? = nil, key: String? = nil
    ) async throws -> OneResent {
        let claim = try key.map {
            try IdempotencyClaim(accountID: 1, method: "POST", path: "/p/\(id)", key: $0, body: [])
        }
        return try await fixture.engine.resendOne(
            OneResend(
                payoutID: id, accountID: accountID, publicID: "one-\(id)-\(key ?? "")-\(fixture.clock.wall.seconds)",
                requester: Requester(actor: "key:test"), claim: claim))
    }

    @Test("each state of a live delivery: waiting, in flight, waiting for its retry, acknowledged")
    func states() async throws {
        let fixture = try await EngineFixture()
        let ids = try await fixture.store.createPayouts(1)
        #expect(try await log(fixture, ids[0]).isEmpty, "creation notifies nobody")
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        let fresh = try #require(try await log(fixture, ids[0]).first)
        #expect(fresh.deliveries.map(\.state) == [.waiting])
        #expect(fresh.deliveries[0].nextAttemptAt == fixture.clock.engine)
        #expect((fresh.sequence, fresh.status, fresh.acknowledgedAt) == (2, .paid, nil))
        try await fixture.dispatch()
        let flying = try #require(try await log(fixture, ids[0]).first?.deliveries.first)
        #expect(flying.state == .inFlight)
        #expect(flying.nextAttemptAt == nil)
        let exchange = try #require(fixture.transport.take().first)
        #expect(exchange.header("webhook-id") == fresh.webhookID.description)
        exchange.end(.answered(WireAnswer(statusCode: 503, body: Array("b\u{FC}sy".utf8))))
        try await fixture.dispatch()
        let retry = try #require(try await log(fixture, ids[0]).first?.deliveries.first)
        #expect(retry.state == .waiting)
        let next = try #require(retry.nextAttemptAt)
        #expect(next >= fixture.clock.engine + .seconds(5))
        #expect(
            retry.attempts == [
                LoggedAttempt(
                    number: 1, at: retry.attempts[0].at, milliseconds: 3, statusCode: 503, reason: "http_status",
                    answer: Array("b\u{FC}sy".utf8))
            ])
        fixture.clock.advance(by: .seconds(6))
        try await fixture.dispatch()
        fixture.transport.take().first?.answer(200)
        try await fixture.dispatch()
        let done = try #require(try await log(fixture, ids[0]).first)
        #expect(done.acknowledgedAt == fixture.clock.wall)
        #expect(done.deliveries.map(\.state) == [.acknowledged])
        #expect(done.deliveries[0].attempts.map(\.number) == [1, 2])
        #expect(done.deliveries[0].attempts.map(\.reason) == ["http_status", nil])
    }

    @Test("a redirect is shown with where it points", arguments: TestEngine.allCases)
    func redirects(kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        let ids = try await fixture.store.createPayouts(1)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        for answer in [
            WireAnswer(statusCode: 308, location: "https://shop.example/new"),
            WireAnswer(statusCode: 500, body: [0x6E]),
        ] {
            try await fixture.dispatch()
            fixture.transport.take().first?.end(.answered(answer))
            try await fixture.dispatch()
            fixture.clock.advance(by: .seconds(6))
        }
        let attempts = try #require(try await log(fixture, ids[0]).first?.deliveries.first?.attempts)
        #expect(attempts.map(\.location) == ["https://shop.example/new", nil])
        #expect(attempts.map(\.answer) == [nil, [0x6E]])
    }

    @Test("notifications stand newest first; a resend's delivery that changed what it carries stands under both")
    func history() async throws {
        let fixture = try await EngineFixture()
        let ids = try await fixture.store.createPayouts(1)
        let far = fixture.clock.engine + .seconds(1_000_000)
        try await fixture.store.report(.received, ids, at: fixture.clock.wall, due: far)
        guard case .enqueued(let first) = try await resendOne(fixture, ids[0]) else {
            Issue.record("not enqueued")
            return
        }
        try await fixture.dispatch()
        fixture.transport.take().first?.answer(500)
        try await fixture.dispatch()
        fixture.clock.advance(by: .seconds(1))
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: far)
        fixture.clock.advance(by: .seconds(6))
        try await fixture.dispatch()
        fixture.transport.take().first?.answer(200)
        try await fixture.dispatch()
        let log = try await log(fixture, ids[0])
        #expect(log.map(\.status) == [.paid, .received])
        #expect(log[1].webhookID == first)
        let resent = log.map { $0.deliveries.filter(\.isResend) }
        #expect(resent.map(\.count) == [1, 1])
        #expect(resent[0][0].attempts.map(\.number) == [2])
        #expect(resent[1][0].attempts.map(\.number) == [1])
        #expect(resent[0][0].jobID == nil, "one payout's resend is no job")
        #expect(log[0].deliveries.map(\.state).sorted { $0.rawValue < $1.rawValue } == [.acknowledged, .skipped])
    }

    @Test("one payout is sent again with its latest notification, in the lane of resends, as a row of its own")
    func oneResend() async throws {
        let fixture = try await EngineFixture()
        let ids = try await fixture.store.createPayouts(2)
        #expect(try await resendOne(fixture, ids[0]) == .neverNotified)
        #expect(try await resendOne(fixture, 999) == .notFound)
        try await fixture.store.report(.paid, [ids[0]], at: fixture.clock.wall)
        #expect(try await resendOne(fixture, ids[0], accountID: 77) == .notFound)
        try await fixture.dispatch()
        fixture.transport.take().first?.answer(200)
        try await fixture.dispatch()
        guard case .enqueued(let webhookID) = try await resendOne(fixture, ids[0], key: "k") else {
            Issue.record("not enqueued")
            return
        }
        guard case .replayed(let resendID) = try await resendOne(fixture, ids[0], key: "k") else {
            Issue.record("not replayed")
            return
        }
        #expect(try await fixture.store.webhookID(ofOneResend: resendID) == webhookID)
        try await fixture.dispatch()
        let exchange = try #require(fixture.transport.take().first)
        #expect(fixture.transport.count == 0)
        #expect(exchange.header("webhook-id") == webhookID.description)
        #expect(exchange.header("x-webhook-resend").hasPrefix("one-"))
        exchange.answer(200)
        try await fixture.dispatch()
        let outcome = try await fixture.store.resendOutcome(id: resendID)
        #expect(outcome == ResendOutcome(delivered: 1, undelivered: 0, pending: 0, skipped: 0))
        #expect(try await fixture.store.listResends(ResendFilter(), CursorPage()).jobs.isEmpty, "no job of C 4")
        #expect(try await fixture.store.resend(jobID: exchange.header("x-webhook-resend")) == nil)
        let audit = try await fixture.store.listAudit(CursorPage()).rows.filter { $0.action == "resend.one" }
        #expect(audit.map(\.target) == ["payout \(ids[0])"])
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
        _ = try await fixture.store.eraseParties(
            payoutIDs: ids, by: Requester(actor: "t"), now: fixture.clock.wall)
        #expect(try await resendOne(fixture, ids[0]) == .erased)
    }

    @Test("a log belongs to its account")
    func tenancy() async throws {
        let fixture = try await EngineFixture()
        let ids = try await fixture.store.createPayouts(1)
        let now = fixture.clock.engine
        #expect(try await fixture.store.deliveryLog(payoutID: ids[0], accountID: 1, now: now) != nil)
        #expect(try await fixture.store.deliveryLog(payoutID: ids[0], accountID: 2, now: now) == nil)
        #expect(try await fixture.store.deliveryLog(payoutID: 999, accountID: nil, now: now) == nil)
    }

    @Test func `messages of v3 that have its number take no place of its deliveries`() async throws {
        let fixture = try await EngineFixture()
        let ids = try await fixture.store.createPayouts(1)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
        try await fixture.dispatch()
        for exchange in fixture.transport.take() { exchange.answer(200) }
        try await fixture.dispatch()
        try await fixture.store.engine.write(.intake) { db in
            for id in 1_000..<1_000 + Int64(Store.loggedDeliveriesMax) {
                try db.run(
                    """
                    INSERT INTO settled (merchant_id, object_id, delivery_id, queue_id, notification_id,
                        registration_id, state, attempts, created_at, ended_at)
                    VALUES ($1, $2, $3, 4, 9999, 1, 'acknowledged', 1, 0, 0)
                    """, [.int(Fixtures.merchantID), .int(ids[0]), .int(id)])
            }
        }
        let log = try await fixture.store.deliveryLog(payoutID: ids[0], accountID: nil, now: fixture.clock.engine)
        #expect(log?.map(\.deliveries.count) == [1])
    }
}
