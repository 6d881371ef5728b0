import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Resends of v3 from request to outcome (`docs/contract.md` 6.4).
struct ResendLogTests {
    /// Nothing waits any more: what was live has been acknowledged.
    private func settled(_ fixture: LogFixture) async throws {
        try await fixture.deliver { _ in 200 }
    }

    @Test func `a range goes PENDING, PROCESSING, COMPLETED, with each event once for each registration`() async throws
    {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT", at: "https://one.example/a")
        _ = try await fixture.register("CASHOUT", at: "https://two.example/b")
        _ = try await fixture.paid(120)
        try await settled(fixture)
        let log = try await fixture.resend(.cashOut)
        #expect(log.status == .pending)
        #expect((log.objectID, log.mirrorID) == (nil, LogFixture.mirrorID))
        #expect(try await fixture.log(log.id).status == .pending)
        try await fixture.advance()
        let begun = try await fixture.log(log.id)
        #expect(begun.status == .processing)
        #expect(begun.processedAt == nil)
        var seen: [String: Int] = [:]
        try await fixture.deliver { exchange in
            seen[exchange.request.url.text + exchange.header("webhook-id"), default: 0] += 1
            #expect(exchange.header("x-webhook-resend") == "\(log.id)")
            return 200
        }
        #expect(seen.count == 240)
        #expect(seen.values.allSatisfy { $0 == 1 })
        let ended = try await fixture.log(log.id)
        #expect(ended.status == .completed)
        #expect(ended.errorMessage == nil)
        #expect(ended.processedAt == ended.updatedAt)
        #expect(ended.createdAt == log.createdAt)
    }

    @Test func `three attempts at 0 s, 5 s and 5 min, whatever the settings say, then FAILED`() async throws {
        let fixture = try await LogFixture(schedule: RetrySchedule(waits: [.seconds(3_600)]))
        _ = try await fixture.register("CASHOUT")
        let ids = try await fixture.paid(1)
        fixture.clock.advance(by: .seconds(3_601))
        try await settled(fixture)
        let log = try await fixture.resend(.cashOut, object: ids[0])
        try await fixture.advance()
        var numbers: [String] = []
        for wait in [Duration.zero, .seconds(6), .seconds(331)] {
            fixture.clock.advance(by: wait)
            try await fixture.deliver { exchange in
                numbers.append(exchange.header("x-webhook-attempt"))
                return 503
            }
        }
        #expect(numbers == ["1", "2", "3"])
        let ended = try await fixture.log(log.id)
        #expect(ended.status == .failed)
        #expect(ended.errorMessage == "Transaction webhook could not be resent: external service unavailable")
    }

    @Test(
        "what error_message says of one object",
        arguments: [
            (404, "QR code webhook could not be resent: HTTP 404"),
            (201, "QR code webhook could not be resent: HTTP 201"),
            (410, "QR code webhook could not be resent: HTTP 410"),
            (429, "QR code webhook could not be resent: external service unavailable"),
        ])
    func messages(_ code: Int, _ message: String) async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHIN")
        let qrCode = try await fixture.qrCode()
        try await settled(fixture)
        let log = try await fixture.resend(.cashIn, object: qrCode.id)
        try await fixture.advance()
        for wait in [Duration.zero, .seconds(6), .seconds(331)] {
            fixture.clock.advance(by: wait)
            try await fixture.deliver { _ in code }
        }
        #expect(try await fixture.log(log.id).errorMessage == message)
    }

    @Test func `a range that fails in part says how many messages, and the repeat completes`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT")
        _ = try await fixture.paid(40)
        try await settled(fixture)
        let log = try await fixture.resend(.cashOut)
        try await fixture.advance()
        var stubborn: Set<String> = []
        for wait in [Duration.zero, .seconds(6), .seconds(331)] {
            fixture.clock.advance(by: wait)
            try await fixture.deliver { exchange in
                if stubborn.count < 2 { stubborn.insert(exchange.header("webhook-id")) }
                return stubborn.contains(exchange.header("webhook-id")) ? 404 : 200
            }
        }
        let failed = try await fixture.log(log.id)
        #expect(failed.errorMessage == "2 of 40 webhooks could not be resent: HTTP 404")
        let again = try await fixture.resend(.cashOut)
        try await fixture.advance()
        try await settled(fixture)
        #expect(try await fixture.log(again.id).status == .completed)
    }

    @Test func `one object sends its latest event only`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHIN")
        let qrCode = try await fixture.qrCode()
        let paid = CashInReport(type: .qrCodePaid, data: QRCode.Data(stored: JSONObject()))
        _ = try await fixture.engine.reportCashIn(paid, qrCodeID: qrCode.id)
        try await settled(fixture)
        _ = try await fixture.resend(.cashIn, object: qrCode.id)
        try await fixture.advance()
        try await fixture.base.dispatch()
        let sent = fixture.base.transport.take()
        #expect(sent.map { $0.header("x-webhook-sequence") } == ["2"])
    }

    @Test func `what happens after it was asked for never joins`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT")
        _ = try await fixture.paid(2)
        try await settled(fixture)
        let log = try await fixture.resend(.cashOut)
        _ = try await fixture.paid(3, prefix: "later")
        try await fixture.advance()
        let queued = try await fixture.store.number("SELECT queued FROM resends WHERE id = $1", [.int(log.id)])
        #expect(queued == 2)
    }

    @Test func `no event in the range is COMPLETED, no registration for one is FAILED`() async throws {
        let fixture = try await LogFixture()
        let empty = try await fixture.resend(.cashIn)
        try await fixture.advance()
        #expect(try await fixture.log(empty.id).status == .completed)
        let ids = try await fixture.paid(1)
        _ = try await fixture.register("CASHIN")
        _ = try await fixture.register("PIX_CASHOUT_ERROR")
        for log in [try await fixture.resend(.cashOut), try await fixture.resend(.cashOut, object: ids[0])] {
            try await fixture.advance()
            let ended = try await fixture.log(log.id)
            #expect(ended.status == .failed)
            #expect(ended.errorMessage == "No webhook is registered for this account and type.")
        }
    }

    @Test func `a registration that is deleted meanwhile fails its messages`() async throws {
        let fixture = try await LogFixture()
        let id = try await fixture.register("CASHOUT")
        _ = try await fixture.paid(2)
        try await settled(fixture)
        let log = try await fixture.resend(.cashOut)
        try await fixture.advance()
        _ = try await fixture.store.deleteRegistration(id: id, by: Requester(actor: "test"), now: fixture.clock.wall)
        _ = try await fixture.store.moveRegistrations(now: fixture.clock.wall, engineNow: fixture.clock.engine)
        let ended = try await fixture.log(log.id)
        #expect(ended.errorMessage == "2 of 2 webhooks could not be resent: webhook deleted")
    }

    @Test func `behind a pause it waits a day without an attempt, then counts as failed`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT")
        let ids = try await fixture.paid(1)
        try await settled(fixture)
        let receiver = try #require(
            try await fixture.store.number("SELECT receiver_id FROM registrations WHERE merchant_id = 500"))
        _ = try await fixture.engine.pauseReceiver(id: receiver, accountID: nil, by: Requester(actor: "test"))
        let log = try await fixture.resend(.cashOut, object: ids[0])
        try await fixture.advance()
        fixture.clock.advance(by: .seconds(86_300))
        try await fixture.base.dispatch()
        #expect(try await fixture.store.expirePausedLogs(now: fixture.clock.wall) == 0)
        #expect(try await fixture.log(log.id).status == .processing)
        fixture.clock.advance(by: .seconds(200))
        #expect(try await fixture.store.expirePausedLogs(now: fixture.clock.wall) == 1)
        #expect(fixture.base.transport.count == 0)
        let ended = try await fixture.log(log.id)
        #expect(ended.errorMessage == "Transaction webhook could not be resent: receiver paused")
    }

    @Test func `a resend whose walk waits for room behind a pause is given up, too, and ends`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT")
        _ = try await fixture.paid(250)
        try await settled(fixture)
        let receiver = try #require(
            try await fixture.store.number("SELECT receiver_id FROM registrations WHERE merchant_id = 500"))
        _ = try await fixture.engine.pauseReceiver(id: receiver, accountID: nil, by: Requester(actor: "test"))
        let log = try await fixture.resend(.cashOut)
        /// As much as fits.
        func walk() async throws {
            let rules = ChunkRules(
                now: fixture.clock.wall, due: fixture.clock.engine, policy: AddressPolicy(), backlogMax: 100)
            while case .advanced = try await fixture.store.advanceResend(after: nil, rules).progress {}
        }
        try await walk()
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 200)
        fixture.clock.advance(by: .seconds(86_401))
        #expect(try await fixture.store.expirePausedLogs(now: fixture.clock.wall) == 200)
        #expect(try await fixture.log(log.id).status == .processing)
        try await walk()
        fixture.clock.advance(by: .seconds(86_401))
        #expect(try await fixture.store.expirePausedLogs(now: fixture.clock.wall) == 50)
        let ended = try await fixture.log(log.id)
        #expect(ended.errorMessage == "250 of 250 webhooks could not be resent: receiver paused")
    }

    @Test func `a message that cannot be opened counts as failed after a day`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT")
        let ids = try await fixture.paid(1)
        try await settled(fixture)
        try await fixture.store.engine.write(.intake) { db in
            _ = try db.run("UPDATE notifications SET body = $1 WHERE event_id IS NOT NULL", [.blob([1])])
        }
        let log = try await fixture.resend(.cashOut, object: ids[0])
        try await fixture.advance()
        for _ in 1...3 {
            try await fixture.base.dispatch()
            fixture.clock.advance(by: .seconds(3_601))
        }
        fixture.clock.advance(by: .seconds(86_401))
        #expect(try await fixture.store.expirePausedLogs(now: fixture.clock.wall) == 0, "it still has attempts")
        try await fixture.base.dispatch()
        #expect(try await fixture.store.expirePausedLogs(now: fixture.clock.wall) == 1)
        #expect(fixture.base.transport.count == 0)
        let ended = try await fixture.log(log.id)
        #expect(ended.errorMessage == "Transaction webhook could not be resent: internal error")
    }

    @Test func `an erased object counts as failed, and what was on its way is gone`() async throws {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT")
        let ids = try await fixture.paid(2)
        _ = try await fixture.store.eraseParties(
            payoutIDs: [ids[0]], by: Requester(actor: "test"), now: fixture.clock.wall)
        try await fixture.base.dispatch()
        let sent = fixture.base.transport.take()
        #expect(sent.count == 1, "the other one's")
        for exchange in sent { exchange.answer(200) }
        try await fixture.base.dispatch()
        let log = try await fixture.resend(.cashOut)
        try await fixture.advance()
        try await settled(fixture)
        #expect(
            try await fixture.log(log.id).errorMessage
                == "1 of 2 webhooks could not be resent: personal data erased")
    }

    @Test func `an acknowledged resend settles the live delivery to the same registration, and no other`() async throws
    {
        let fixture = try await LogFixture()
        _ = try await fixture.register("CASHOUT", at: "https://one.example/a")
        _ = try await fixture.register("CASHOUT", at: "https://two.example/b")
        let ids = try await fixture.paid(1)
        try await fixture.deliver { _ in 500 }
        _ = try await fixture.resend(.cashOut, object: ids[0])
        try await fixture.advance()
        try await fixture.deliver { $0.request.url.text.contains("one.example") ? 200 : 500 }
        #expect(
            try await fixture.store.number(
                "SELECT count(*) FROM settled WHERE reason = 'acknowledged_elsewhere' AND resend_id IS NULL") == 1)
        #expect(
            try await fixture.store.number("SELECT count(*) FROM deliveries WHERE resend_id IS NULL") == 1,
            "two.example still has its own")
    }
}
