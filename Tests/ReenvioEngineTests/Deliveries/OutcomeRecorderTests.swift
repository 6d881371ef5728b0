import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// What ended, on its way to the store (`docs/architecture.md`, rule 4).
struct OutcomeRecorderTests {
    private func records(_ count: Int) async throws -> [AttemptRecord] {
        let fixture = try await EngineFixture()
        let ids = try await fixture.store.createPayouts(count)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall)
        let now = fixture.clock.now
        let order = ClaimOrder(now: now.engine, leaseUntil: now.engine + .seconds(30), token: 1, turns: Turns())
        let claimed = try await fixture.store.recordAndClaim([], now: now.wall, claim: order).claimed.deliveries
        #expect(claimed.count == count)
        return claimed.map { delivery in
            AttemptRecord(
                claimed: delivery, attemptID: [1], startedAt: now.wall, duration: .zero, statusCode: 200, reason: nil,
                answer: [], next: .end(.acknowledged))
        }
    }

    @Test("nothing is taken to be written before it was news: its slot would never be given back")
    func newsFirst() async throws {
        let records = try await records(3)
        let recorder = OutcomeRecorder(bell: Doorbell())
        recorder.append(records[0])
        #expect(recorder.news().count == 1)
        recorder.append(records[1])
        #expect(recorder.take(atMost: 10).map(\.claimed.id) == [records[0].claimed.id])
        #expect(recorder.take(atMost: 10).isEmpty)
        #expect((recorder.count, recorder.newsCount) == (1, 1))
        #expect(recorder.news().map(\.claimed.id) == [records[1].claimed.id])
        #expect(recorder.news().isEmpty, "once")
        #expect(recorder.take(atMost: 10).count == 1)
    }

    @Test("what could not be written is taken again, first, and is no news")
    func putBack() async throws {
        let records = try await records(3)
        let recorder = OutcomeRecorder(bell: Doorbell())
        for record in records.prefix(2) { recorder.append(record) }
        _ = recorder.news()
        let batch = recorder.take(atMost: 1)
        recorder.append(records[2])
        recorder.putBack(batch)
        #expect(recorder.news().map(\.claimed.id) == [records[2].claimed.id])
        #expect(recorder.take(atMost: 10).map(\.claimed.id) == records.map(\.claimed.id))
        #expect(recorder.count == 0)
    }
}
