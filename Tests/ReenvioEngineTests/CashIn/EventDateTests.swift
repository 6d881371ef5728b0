import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Dates of v3 events at their own precision (`docs/contract.md` 8.4 and 1.2).
struct EventDateTests {
    private func given(_ text: String) throws -> GivenTime {
        try #require(TimeText.parseGiven(text))
    }

    private func lastEvent(_ fixture: LogFixture) async throws -> Timestamp? {
        try await fixture.store.number("SELECT occurred_at FROM object_events ORDER BY seq DESC LIMIT 1")
            .map(Timestamp.init(microseconds:))
    }

    @Test("a refund of the same second as the payment, written in whole seconds, is not before it")
    func refund() async throws {
        let fixture = try await LogFixture()
        fixture.clock.advance(by: .milliseconds(524))
        let paidAt = fixture.clock.wall
        let ids = try await fixture.paid(2)
        let second = GivenTime(Timestamp(seconds: paidAt.seconds), step: 1_000_000)
        #expect(
            try await fixture.engine.refundPayout(id: ids[0], RefundReport(endToEnd: nil, occurredAt: second))
                == .applied)
        #expect(try await lastEvent(fixture) == paidAt)
        let later = GivenTime(paidAt + .seconds(2))
        #expect(
            try await fixture.engine.refundPayout(id: ids[1], RefundReport(endToEnd: nil, occurredAt: later))
                == .applied)
        #expect(try await lastEvent(fixture) == paidAt + .seconds(2))
    }

    @Test("an event of a QR code is not before the one before it for want of digits")
    func cashIn() async throws {
        let fixture = try await LogFixture()
        fixture.clock.advance(by: .milliseconds(524))
        let createdAt = fixture.clock.wall
        let code = try await fixture.qrCode()
        for (text, expected) in [
            (TimeText.zulu(createdAt), createdAt), (TimeText.zulu(createdAt + .seconds(1)), nil),
        ] {
            let report = CashInReport(
                type: .qrCodePaid, data: QRCode.Data(stored: JSONObject()), occurredAt: try given(text))
            _ = try await fixture.engine.reportCashIn(report, qrCodeID: code.id)
            #expect(try await lastEvent(fixture) == (expected ?? Timestamp(seconds: createdAt.seconds + 1)))
        }
    }
}
