import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// A merchant with a million events or deliveries costs v3 what a new one does: each is looked up by an index.
struct EventPlanTests {
    @Test func `nothing of v3 looks at everything that a merchant has`() async throws {
        let planning = Mutex<PlanningEngine?>(nil)
        let fixture = try await LogFixture(on: .sqlite) { base in
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
        let told = try await fixture.store.createPayouts(1, merchantID: LogFixture.mirrorID, prefix: "told")
        try await fixture.store.report(.paid, told, at: fixture.clock.wall, due: fixture.clock.engine)
        let log = try await fixture.store.deliveryLog(payoutID: told[0], accountID: nil, now: fixture.clock.engine)
        #expect(log?.map(\.deliveries.count) == [1])
        fixture.clock.advance(by: .seconds(86_401))
        _ = try await fixture.store.expirePausedLogs(now: fixture.clock.wall)
        _ = try await fixture.store.eraseParties(payoutIDs: ids, by: requester, now: fixture.clock.wall)
        _ = try await fixture.store.eraseQRCodes(ids: [code.id], by: requester, now: fixture.clock.wall)
        #expect(plans.count > 30)
        #expect(plans.wholeMerchants == [])
    }
}
