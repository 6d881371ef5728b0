import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The ledger of a job (`docs/contract.md` 13.4).
struct LedgerTests {
    private let requester = EngineFixture.requester

    /// A job whose payouts are all enqueued; nothing of it is sent.
    private func job(_ count: Int, _ fixture: EngineFixture) async throws -> Resend {
        let job = try await fixture.job(count)
        try await fixture.warmUp(count)
        try await fixture.advance()
        return job
    }

    /// Writes what was answered.
    private func record(_ fixture: EngineFixture) async throws {
        fixture.clock.advance(by: .milliseconds(5))
        try await fixture.dispatch()
    }

    private func walk(
        _ job: Resend, _ fixture: EngineFixture, outcome: LedgerOutcome? = nil, limit: Int64 = 100
    ) async throws -> [LedgerItem] {
        var items: [LedgerItem] = []
        var page = CursorPage(limit: limit)
        repeat {
            let found = try await fixture.store.listLedger(job, outcome: outcome, page)
            #expect(found.items.count <= limit)
            items += found.items
            page.after = found.after
        } while page.after != nil
        return items
    }

    /// Each payout once, in order; each filter shows its part; the counts are those of the outcome.
    private func expectAgreement(
        _ job: Resend, _ fixture: EngineFixture, limit: Int64 = 7
    ) async throws -> [LedgerItem] {
        let items = try await walk(job, fixture, limit: limit)
        let details = try #require(try await fixture.store.resendDetails(jobID: job.jobID))
        #expect(Int64(items.count) == details.resend.queued)
        #expect(items.map(\.payoutID) == Set(items.map(\.payoutID)).sorted())
        for outcome in LedgerOutcome.allCases {
            let part = try await walk(job, fixture, outcome: outcome, limit: limit)
            #expect(part == items.filter { $0.outcome == outcome })
        }
        func count(_ outcome: LedgerOutcome) -> Int64 { Int64(items.count { $0.outcome == outcome }) }
        #expect(
            details.outcome
                == ResendOutcome(
                    delivered: count(.delivered), undelivered: count(.undelivered), pending: count(.pending),
                    skipped: count(.skipped)))
        return items
    }

    @Test func `each outcome with what was answered last, and counts that agree with 13.1 all along`() async throws {
        let fixture = try await EngineFixture(schedule: RetrySchedule(waits: [.zero, .seconds(3_600)]))
        let job = try await job(24, fixture)
        let before = try await expectAgreement(job, fixture)
        #expect(before.allSatisfy { $0.outcome == .pending && $0.attempts == 0 && $0.lastAttemptAt == nil })
        #expect(before.allSatisfy { $0.webhookID != nil }, "not sent yet: the payout's latest")
        var codes: [Int64: Int] = [:]
        try await fixture.dispatch()
        for exchange in fixture.transport.take() {
            let code = [200, 410, 500][codes.count % 3]
            codes[try #require(payoutID(exchange))] = code
            exchange.answer(code)
            if codes.count % 5 == 0 {
                try await record(fixture)
                _ = try await expectAgreement(job, fixture)
            }
        }
        try await record(fixture)
        let after = try await expectAgreement(job, fixture)
        #expect(codes.count == 24)
        for item in after {
            let code = try #require(codes[item.payoutID])
            #expect(item.attempts == 1)
            #expect(item.lastStatusCode == Int64(code))
            #expect(item.lastReason == [200: nil, 410: "gone", 500: "http_status"][code])
            #expect(item.outcome == [200: .delivered, 410: .undelivered, 500: .pending][code])
            #expect(item.lastAttemptAt != nil)
            #expect(item.invoice?.hasPrefix("inv-") == true)
        }
        #expect(after.map(\.webhookID) == before.map(\.webhookID), "the same notification")
        fixture.clock.advance(by: .seconds(7_200))
        try await fixture.deliver { _ in 200 }
        let ended = try await expectAgreement(job, fixture).filter { codes[$0.payoutID] == 500 }
        #expect(ended.count == 8)
        #expect(ended.allSatisfy { ($0.outcome, $0.attempts, $0.lastStatusCode) == (.delivered, 2, 200) })
        #expect(ended.allSatisfy { $0.lastReason == nil })
    }

    private func payoutID(_ exchange: ScriptedTransport.Exchange) -> Int64? {
        guard case .object(let body)? = try? JSONParser.parse(exchange.request.body),
            case .number(let id)? = body["id"]
        else { return nil }
        return id.integer
    }

    @Test func `a delivery that ends between two pages is neither lost nor shown twice`() async throws {
        let fixture = try await EngineFixture()
        let job = try await job(30, fixture)
        var exchanges: [ScriptedTransport.Exchange] = []
        try await fixture.dispatch()
        exchanges = fixture.transport.take()
        #expect(exchanges.count == 30)
        var items: [LedgerItem] = []
        var page = CursorPage(limit: 4)
        repeat {
            let found = try await fixture.store.listLedger(job, page)
            items += found.items
            page.after = found.after
            // Before the next page some end that were shown, and some that were not.
            for exchange in [exchanges.popLast(), exchanges.isEmpty ? nil : exchanges.removeFirst()] {
                exchange?.answer(200)
            }
            try await record(fixture)
        } while page.after != nil
        #expect(items.map(\.payoutID) == Array(1...30))
        #expect(Set(items.map(\.outcome)) == [.pending, .delivered])
        _ = try await expectAgreement(job, fixture)
    }

    @Test func `of a canceled job an open delivery is skipped at once, and looks the same once it is swept`()
        async throws
    {
        let fixture = try await EngineFixture(schedule: RetrySchedule(waits: [.zero, .seconds(3_600)]))
        let job = try await job(9, fixture)
        var sent = 0
        try await fixture.deliver { _ in
            sent += 1
            return sent <= 3 ? 200 : 500
        }
        _ = try await fixture.engine.cancelResend(jobID: job.jobID, accountID: 1, by: requester)
        let canceled = try await expectAgreement(job, fixture)
        #expect(canceled.count { $0.outcome == .skipped } == 6)
        #expect(try await walk(job, fixture, outcome: .pending) == [])
        for item in canceled where item.outcome == .skipped {
            #expect((item.lastReason, item.lastStatusCode, item.attempts) == ("canceled", 500, 1))
        }
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 6)
        while try await fixture.store.sweepCanceled(now: fixture.clock.wall, engineNow: fixture.clock.engine).ended > 0
        {}
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 0)
        #expect(try await expectAgreement(job, fixture) == canceled)
    }

    @Test func `what attempts said is null once they are forgotten, what the delivery ended with stays`() async throws {
        let fixture = try await EngineFixture()
        let job = try await job(3, fixture)
        try await fixture.deliver { _ in 410 }
        let before = try await expectAgreement(job, fixture)
        try await fixture.store.engine.write(.janitor) { db in _ = try db.run("DELETE FROM attempts") }
        let after = try await expectAgreement(job, fixture)
        #expect(
            after
                == before.map { item in
                    var item = item
                    item.lastAttemptAt = nil
                    return item
                })
        #expect(after.allSatisfy { ($0.lastStatusCode, $0.lastReason, $0.attempts) == (410, "gone", 1) })
    }

    @Test func `a page looks at no more than its bound, and a short one goes on`() async throws {
        let fixture = try await EngineFixture()
        let job = try await job(3, fixture)
        try await fixture.deliver { _ in 200 }
        // As many delivered ones as it takes, and behind them one that was not.
        let more = Int64(Limits.ledgerLookedAt) + 100
        try await fixture.store.engine.write(.janitor) { db in
            try db.run(
                """
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= $1)
                INSERT INTO settled (merchant_id, object_id, delivery_id, queue_id, resend_id, state, attempts,
                    created_at, ended_at)
                SELECT $2, 100 + i, 100000 + i, 1, $3, CASE WHEN i > $1 THEN 'stopped' ELSE 'acknowledged' END, 1, 0, 0
                FROM n
                """, [.int(more), .int(Fixtures.merchantID), .int(job.id)])
        }
        let first = try await fixture.store.listLedger(job, outcome: .undelivered, CursorPage(limit: 20))
        #expect(first.items.isEmpty)
        let position = try #require(first.after)
        #expect(position < 100 + more)
        let second = try await fixture.store.listLedger(
            job, outcome: .undelivered, CursorPage(limit: 20, after: position))
        #expect(second.items.map(\.payoutID) == [101 + more])
        #expect(second.after == nil)
        #expect(try await walk(job, fixture, limit: 100).count == Int(more) + 4)
    }

    @Test(arguments: [
        (Ledger.open, "deliveries USING INDEX deliveries_of_job (merchant_id=? AND resend_id=? AND payout_id>?)"),
        (
            Ledger.ended,
            "settled USING COVERING INDEX settled_of_resend (merchant_id=? AND resend_id=? AND object_id>?)"
        ),
    ])
    func `a page reads its own job's rows and no others`(_ sql: String, _ search: String) async throws {
        let fixture = try await EngineFixture(on: .sqlite)
        let plan = try await fixture.store.engine.read { db in
            try db.all("EXPLAIN QUERY PLAN " + sql, [.int(303), .int(1), .int(0), .int(21)]) { $0.text(3) }
        }
        #expect(plan.contains("SEARCH " + search), "\(plan)")
    }
}
