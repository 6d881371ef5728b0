import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// The writes of v3 look up what they touch: a merchant with a million events or deliveries costs what a new one does.
struct EventPlanTests {
    @Test func `no write of v3 looks at everything that a merchant has`() async throws {
        let planning = Mutex<PlanningEngine?>(nil)
        let fixture = try await LogFixture { base in
            let engine = PlanningEngine(base)
            planning.withLock { $0 = engine }
            return engine
        }
        let plans = try #require(planning.withLock { $0 })
        let requester = Requester(actor: "test")
        let moving = try await fixture.register("CASHOUT")
        let ended = try await fixture.register("CASHIN", at: "https://other.example/v3")
        let ids = try await fixture.paid(2)
        let code = try await fixture.qrCode()
        var data = JSONObject()
        data.set("end_to_end", .string("E1"))
        let report = CashInReport(type: .qrCodePaid, data: QRCode.Data(stored: data))
        _ = try await fixture.engine.reportCashIn(report, qrCodeID: code.id)
        _ = try await fixture.engine.refundPayout(id: ids[0], RefundReport(endToEnd: nil))
        for log in [try await fixture.resend(.cashOut), try await fixture.resend(.cashIn, object: code.id)] {
            try await fixture.advance()
            try await fixture.deliver { _ in 200 }
            #expect(try await fixture.log(log.id).status == .completed)
        }
        _ = try await fixture.resend(.cashOut)
        try await fixture.advance()
        let change = RegistrationChange(
            url: try ReceiverURL(parsing: "https://new.example/", policy: AddressPolicy()))
        _ = try await fixture.store.updateRegistration(
            id: moving, change, by: requester, now: fixture.clock.wall)
        _ = try await fixture.store.deleteRegistration(id: ended, by: requester, now: fixture.clock.wall)
        _ = try await fixture.store.moveRegistrations(now: fixture.clock.wall, engineNow: fixture.clock.engine)
        fixture.clock.advance(by: .seconds(86_401))
        _ = try await fixture.store.expirePausedLogs(now: fixture.clock.wall)
        _ = try await fixture.store.eraseParties(payoutIDs: ids, by: requester, now: fixture.clock.wall)
        _ = try await fixture.store.eraseQRCodes(ids: [code.id], by: requester, now: fixture.clock.wall)
        #expect(plans.count > 30)
        #expect(plans.wholeMerchants == [])
    }
}
