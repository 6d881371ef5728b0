import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// What a webhook costs on PostgreSQL in messages to the server, from its status change to its recorded outcome.
struct RoundTripTests {
    @Test func `a webhook takes less than a tenth of a round trip, all of them together`() async throws {
        let held = Mutex<PostgresEngine?>(nil)
        let fixture = try await EngineFixture(on: .postgres) { base in
            held.withLock { $0 = base as? PostgresEngine }
            return base
        }
        let engine = try #require(held.withLock { $0 })
        var ids: [Int64] = []
        for (merchant, receiver) in [(Int64(303), "a"), (303, "b"), (304, "c"), (304, "d")] {
            ids += try await fixture.store.createPayouts(
                500, merchantID: merchant, prefix: receiver, url: "https://\(receiver).example/hook",
                now: fixture.clock.wall)
        }
        // Receivers that are known by now, and statements that are prepared.
        try await report(.received, ids, fixture)
        try await fixture.deliver { _ in 200 }
        let before = engine.roundTrips
        let delivered = try #require(try await fixture.store.number("SELECT count(*) FROM settled"))
        for status in [PayoutStatus.inReview, .received] {
            try await report(status, ids, fixture)
            try await fixture.deliver { _ in 200 }
        }
        let webhooks = try #require(try await fixture.store.number("SELECT count(*) FROM settled")) - delivered
        let perWebhook = Double(engine.roundTrips - before) / Double(webhooks)
        #expect(webhooks == 4_000)
        #expect(perWebhook < 0.1, "\(engine.roundTrips - before) for \(webhooks)")
    }

    /// Through the intake, which takes up to 512 in a commit.
    private func report(_ status: PayoutStatus, _ ids: [Int64], _ fixture: EngineFixture) async throws {
        for id in ids {
            let change = StatusChangeRequest(payoutID: id, status: status)
            fixture.engine.intake.enqueue(IntakeBatch(changes: [change])) { _ in }
        }
        while true {
            if case .wait = try await fixture.engine.intake.step(now: fixture.clock.now) { return }
        }
    }
}
