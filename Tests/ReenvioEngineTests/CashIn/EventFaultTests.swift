import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// v3 when the store fails in the middle: all of a commit or nothing of it (`docs/crashes.md`).
struct EventFaultTests {
    private func faultyFixture() async throws -> (fixture: LogFixture, faults: FaultyEngine) {
        var faults: FaultyEngine?
        let fixture = try await LogFixture { base in
            let engine = FaultyEngine(base)
            faults = engine
            return engine
        }
        return (fixture, try #require(faults))
    }

    private func counts(_ fixture: LogFixture) async throws -> [Int64?] {
        var counts: [Int64?] = []
        for table in ["qr_codes", "object_events", "notifications", "deliveries", "parties", "status_changes"] {
            counts.append(try await fixture.store.number("SELECT count(*) FROM \(table)"))
        }
        counts.append(try await fixture.store.number("SELECT count(*) FROM payouts WHERE refunded_at IS NOT NULL"))
        return counts
    }

    /// Breaks off each statement in turn until the act goes through; nothing may be left of the failures.
    private func breakOff(
        _ fixture: LogFixture, _ faults: FaultyEngine, _ act: () async throws -> Void
    ) async throws -> Int {
        let before = try await counts(fixture)
        for statement in 1...60 {
            faults.fail(atStatement: statement)
            do {
                try await act()
                faults.disarm()
                return statement - 1
            } catch {
                faults.disarm()
                #expect(try await counts(fixture) == before)
            }
        }
        return 60
    }

    @Test("a QR code, its event, a change and a refund are each all or nothing")
    func allOrNothing() async throws {
        let (fixture, faults) = try await faultyFixture()
        _ = try await fixture.register("CASHOUT", at: "https://one.example/a")
        _ = try await fixture.register("CASHIN", at: "https://two.example/b")
        var qrCodeID: Int64 = 0
        #expect(try await breakOff(fixture, faults) { qrCodeID = try await fixture.qrCode().id } >= 5)
        let paid = CashInReport(type: .qrCodePaid, data: QRCode.Data(stored: JSONObject()))
        #expect(
            try await breakOff(fixture, faults) {
                _ = try await fixture.engine.reportCashIn(paid, qrCodeID: qrCodeID)
            } >= 5)
        let ids = try await fixture.store.createPayouts(
            1, merchantID: LogFixture.mirrorID, url: nil, now: fixture.clock.wall)
        #expect(
            try await breakOff(fixture, faults) {
                try await fixture.store.report(.paid, ids, at: fixture.clock.wall, due: fixture.clock.engine)
            } >= 10)
        let refund = RefundReport(endToEnd: "D1")
        let refused = try await breakOff(fixture, faults) {
            _ = try await fixture.engine.refundPayout(id: ids[0], refund)
        }
        #expect(refused >= 5)
        #expect(try await fixture.store.number("SELECT count(*) FROM object_events") == 4)
        #expect(try await fixture.store.number("SELECT count(*) FROM deliveries") == 4)
    }

    @Test("a resend that fails at every statement of its chunks still enqueues each message once")
    func resendInPieces() async throws {
        let (fixture, faults) = try await faultyFixture()
        _ = try await fixture.register("CASHOUT", at: "https://one.example/a")
        _ = try await fixture.register("CASHOUT", at: "https://two.example/b")
        for batch in 0..<3 { _ = try await fixture.paid(50, prefix: "batch\(batch)-") }
        try await fixture.deliver { _ in 200 }
        let log = try await fixture.resend(.cashOut)
        var failures = 0
        var statement = 1
        while try await fixture.store.number("SELECT count(*) FROM resends WHERE state = 'processing'") == 1 {
            faults.fail(atStatement: statement)
            do {
                _ = try await fixture.engine.runner.step(now: fixture.clock.now)
                statement = 1
            } catch {
                failures += 1
                statement += 1
            }
            faults.disarm()
            let (queued, open) = (
                try await fixture.store.number("SELECT queued FROM resends WHERE id = $1", [.int(log.id)]),
                try await fixture.store.number("SELECT count(*) FROM deliveries WHERE resend_id = $1", [.int(log.id)])
            )
            #expect(queued == open, "the counter is what is enqueued")
            guard failures < 200 else { break }
        }
        #expect(failures >= 8)
        var seen: Set<String> = []
        try await fixture.deliver { exchange in
            #expect(seen.insert(exchange.request.url.text + exchange.header("webhook-id")).inserted)
            return 200
        }
        #expect(seen.count == 300)
        #expect(try await fixture.log(log.id).status == .completed)
    }
}
