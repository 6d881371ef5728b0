import Logging
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The ledger of a v3 log (`docs/contract.md` 13.18): each message once, with what became of it.
struct LogLedgerTests {
    private func walk(
        _ log: ResendLog, _ fixture: LogFixture, outcome: LedgerOutcome? = nil, limit: Int64 = 7
    ) async throws -> [LogLedgerItem] {
        let details = try #require(try await fixture.store.logDetails(id: log.id))
        var items: [LogLedgerItem] = []
        var place: LogLedgerPlace?
        repeat {
            let found = try await fixture.store.listLedger(details, outcome: outcome, limit: limit, after: place)
            #expect(found.items.count <= limit)
            items += found.items
            place = found.after
        } while place != nil
        return items
    }

    /// Each message once; each filter shows its part; the counts are those of the outcome.
    private func expectAgreement(_ log: ResendLog, _ fixture: LogFixture) async throws -> [LogLedgerItem] {
        let items = try await walk(log, fixture)
        let details = try #require(try await fixture.store.logDetails(id: log.id))
        #expect(Int64(items.count) == details.queued + details.failed)
        #expect(Set(items.map { "\($0.eventID) \($0.registrationID)" }).count == items.count)
        for outcome in LedgerOutcome.allCases {
            #expect(try await walk(log, fixture, outcome: outcome) == items.filter { $0.outcome == outcome })
        }
        func count(_ outcome: LedgerOutcome) -> Int64 { Int64(items.count { $0.outcome == outcome }) }
        #expect(count(.failed) == details.failed)
        #expect(
            details.outcome
                == ResendOutcome(
                    delivered: count(.delivered), undelivered: count(.undelivered), pending: count(.pending),
                    skipped: count(.skipped)))
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine) == [])
        return items
    }

    @Test("a range of which some fail says which, where and why", arguments: TestEngine.allCases)
    func range(_ kind: TestEngine) async throws {
        let fixture = try await LogFixture(on: kind)
        let one = try await fixture.register("CASHOUT", at: "https://one.example/a")
        let two = try await fixture.register("CASHOUT", at: "https://two.example/b")
        // Fewer than open a breaker.
        let ids = try await fixture.paid(9)
        try await fixture.deliver { _ in 200 }
        let log = try await fixture.resend(.cashOut)
        try await fixture.advance()
        let before = try await expectAgreement(log, fixture)
        #expect(before.count == 18 && before.allSatisfy { $0.outcome == .pending && $0.attempts == 0 })
        #expect(Set(before.compactMap(\.objectID)) == Set(ids))
        #expect(before.allSatisfy { $0.type == "PIX_CASHOUT_SUCCESS" && $0.webhookID != nil })
        try await fixture.deliver { $0.request.url.text.contains("two.example") ? 410 : 200 }
        let after = try await expectAgreement(log, fixture)
        for item in after {
            #expect(item.outcome == (item.registrationID == two ? .undelivered : .delivered))
            #expect(item.lastStatusCode == (item.registrationID == two ? 410 : 200))
            #expect(item.lastReason == (item.registrationID == two ? "gone" : nil))
            #expect(item.attempts == 1 && item.lastAttemptAt != nil)
        }
        #expect(Set(after.map(\.registrationID)) == [one, two])
        #expect(try await fixture.store.logDetails(id: log.id)?.phase == .partlyDelivered)
    }

    @Test("one QR code, and its failure", arguments: TestEngine.allCases)
    func oneObject(_ kind: TestEngine) async throws {
        let fixture = try await LogFixture(on: kind)
        _ = try await fixture.register("CASHIN")
        let qrCode = try await fixture.qrCode()
        try await fixture.deliver { _ in 200 }
        let log = try await fixture.resend(.cashIn, object: qrCode.id)
        try await fixture.advance()
        try await fixture.deliver { _ in 410 }
        let items = try await expectAgreement(log, fixture)
        #expect(items.map(\.objectID) == [qrCode.id])
        #expect(items.map(\.type) == ["QR_CODE_COPY_AND_PASTE_CREATED"])
        #expect(items.map(\.outcome) == [.undelivered])
        #expect(try await fixture.store.logDetails(id: log.id)?.phase == .undelivered)
    }

    @Test("messages that cannot be enqueued are failed, with their reason", arguments: TestEngine.allCases)
    func failed(_ kind: TestEngine) async throws {
        let book = LogBook()
        let fixture = try await LogFixture(on: kind, logger: book.logger)
        let refused = try await fixture.register("CASHOUT", at: "https://one.example/a")
        _ = try await fixture.register("CASHOUT", at: "https://two.example/b")
        let ids = try await fixture.paid(3)
        try await fixture.deliver { _ in 200 }
        _ = try await fixture.store.eraseParties(
            payoutIDs: [ids[0]], by: Requester(actor: "test"), now: fixture.clock.wall)
        try await fixture.store.engine.write(.intake) { db in
            _ = try db.run("UPDATE registrations SET url = 'https://127.0.0.1/a' WHERE id = $1", [.int(refused)])
        }
        let log = try await fixture.resend(.cashOut)
        try await fixture.advance()
        try await fixture.deliver { _ in 200 }
        let items = try await expectAgreement(log, fixture)
        for item in items {
            let reason = item.objectID == ids[0] ? "erased" : item.registrationID == refused ? "address_forbidden" : nil
            #expect(item.lastReason == reason)
            #expect(item.outcome == (reason == nil ? .delivered : .failed))
            #expect(item.type == "PIX_CASHOUT_SUCCESS" && item.webhookID != nil)
        }
        #expect(items.count { $0.outcome == .failed } == 4)
        #expect(try await fixture.log(log.id).errorMessage?.hasPrefix("4 of 6 webhooks could not be resent") == true)
        let lines = book.lines.filter { $0.message == "resend items could not be queued" }
        #expect(lines.map(\.level) == [.warning, .warning])
        #expect(lines.map { $0.fields["reason"] } == ["address_forbidden", "erased"])
        #expect(lines.map { $0.fields["count"] } == ["2", "2"])
    }

    @Test(
        "of a canceled log an open message is skipped at once, and looks the same once it is swept",
        arguments: TestEngine.allCases)
    func canceled(_ kind: TestEngine) async throws {
        let fixture = try await LogFixture(on: kind)
        _ = try await fixture.register("CASHOUT")
        _ = try await fixture.paid(9)
        try await fixture.deliver { _ in 200 }
        let log = try await fixture.resend(.cashOut)
        try await fixture.advance()
        var sent = 0
        try await fixture.deliver { _ in
            sent += 1
            return sent <= 3 ? 200 : 500
        }
        _ = try await fixture.engine.cancelLog(id: log.id, by: Requester(actor: "test"))
        let canceled = try await expectAgreement(log, fixture)
        #expect(canceled.count { $0.outcome == .skipped } == 6)
        for item in canceled where item.outcome == .skipped {
            #expect((item.lastReason, item.lastStatusCode, item.attempts) == ("canceled", 500, 1))
        }
        while try await fixture.store.sweepCanceled(now: fixture.clock.wall, engineNow: fixture.clock.engine).ended > 0
        {}
        #expect(try await expectAgreement(log, fixture) == canceled)
    }

    @Test(arguments: [
        (
            LogLedger.open,
            "deliveries USING INDEX deliveries_of_log "
                + "(merchant_id=? AND resend_id=? AND (event_id,registration_id)>(?,?))"
        ),
        (
            LogLedger.failed,
            "resend_failures USING PRIMARY KEY "
                + "(merchant_id=? AND resend_id=? AND (object_id,registration_id)>(?,?))"
        ),
        (
            LogLedger.ended,
            "settled USING COVERING INDEX settled_of_resend "
                + "(merchant_id=? AND resend_id=? AND (object_id,registration_id)>(?,?))"
        ),
    ])
    func `a page reads its own log's rows and no others`(_ sql: String, _ search: String) async throws {
        let fixture = try await EngineFixture(on: .sqlite)
        let plan = try await fixture.store.engine.read { db in
            try db.all("EXPLAIN QUERY PLAN " + sql, [.int(303), .int(1), .int(0), .int(0), .int(21)]) { $0.text(3) }
        }
        #expect(plan.contains("SEARCH " + search), "\(plan)")
    }
}
