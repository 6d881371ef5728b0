import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The runner's turns (`docs/contract.md` 4.4 and 5).
struct ResendRunnerTests {
    private func open(_ merchantID: Int64, _ name: String, _ fixture: EngineFixture) async throws -> Resend {
        let now = fixture.clock.wall
        let window = ResendWindow(startSeconds: now.seconds - 60, endSeconds: now.seconds + 60)
        let request = ResendRequest(merchantID: merchantID, window: window, statuses: [.paid])
        let opening = ResendOpening(accountID: 1, jobID: name, requester: Requester(actor: "key:test"))
        return try #require(try await fixture.store.openResend(request, opening, now: now).resend)
    }

    private func paid(_ count: Int, _ merchantID: Int64, _ fixture: EngineFixture) async throws {
        let ids = try await fixture.store.createPayouts(count, merchantID: merchantID)
        try await fixture.store.report(.paid, ids, at: fixture.clock.wall)
    }

    @Test("running resends take turns, a chunk each")
    func turns() async throws {
        let fixture = try await EngineFixture()
        try await paid(400, 303, fixture)
        try await paid(400, 304, fixture)
        let first = try await open(303, "a", fixture)
        let second = try await open(304, "b", fixture)
        var seen: [[Int64]] = []
        while case .again = try await fixture.engine.runner.step(now: fixture.clock.now) {
            seen.append([
                try await fixture.store.resend(jobID: first.jobID)?.queued ?? -1,
                try await fixture.store.resend(jobID: second.jobID)?.queued ?? -1,
            ])
        }
        #expect(seen == [[200, 0], [200, 200], [400, 200], [400, 400]])
    }

    @Test("one that cannot go on fails, and the others go on")
    func broken() async throws {
        let fixture = try await EngineFixture()
        try await paid(3, 303, fixture)
        try await paid(3, 304, fixture)
        let damaged = try await open(303, "a", fixture)
        let healthy = try await open(304, "b", fixture)
        _ = try await fixture.store.engine.write(.intake) { db in
            try db.run("UPDATE resends SET total = 1 WHERE id = $1", [.int(damaged.id)])
        }
        while case .again = try await fixture.engine.runner.step(now: fixture.clock.now) {}
        #expect(try await fixture.store.resend(jobID: damaged.jobID)?.state == .processing)
        #expect(try await fixture.store.resend(jobID: healthy.jobID)?.state == .completed)
        fixture.clock.advance(by: .seconds(5))
        while case .again = try await fixture.engine.runner.step(now: fixture.clock.now) {}
        #expect(try await fixture.store.resend(jobID: damaged.jobID)?.state == .failed)
    }

    @Test("damage that is gone at the second look fails nothing")
    func illForAMoment() async throws {
        let fixture = try await EngineFixture()
        try await paid(3, 303, fixture)
        let job = try await open(303, "a", fixture)
        func setTotal(_ total: Int) async throws {
            _ = try await fixture.store.engine.write(.intake) { db in
                try db.run("UPDATE resends SET total = $2 WHERE id = $1", [.int(job.id), .int(total)])
            }
        }
        try await setTotal(1)
        while case .again = try await fixture.engine.runner.step(now: fixture.clock.now) {}
        try await setTotal(3)
        fixture.clock.advance(by: .seconds(60))
        while case .again = try await fixture.engine.runner.step(now: fixture.clock.now) {}
        #expect(try await fixture.store.resend(jobID: job.jobID)?.state == .completed)
    }
}
