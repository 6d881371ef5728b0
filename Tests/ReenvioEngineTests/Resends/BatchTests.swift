import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Resends over ranges and merchants (`docs/contract.md` 13.17).
struct BatchTests {
    private static let requester = Requester(actor: "key:test")
    private static let hour: Int64 = 3_600

    private func range(_ fixture: EngineFixture, hours: Int64 = 24) -> ResendWindow {
        let end = fixture.clock.wall.seconds
        return ResendWindow(startSeconds: end - hours * Self.hour, endSeconds: end)
    }

    private func request(
        _ fixture: EngineFixture, _ merchants: ResendBatchRequest.Merchants = .named([303, 304]),
        options: ResendOptions = ResendOptions(), again: Bool = false
    ) -> ResendBatchRequest {
        ResendBatchRequest(
            merchants: merchants, range: range(fixture), statuses: PayoutStatus.notifiable.map(\.id),
            options: options, again: again)
    }

    /// Payouts that were paid in every hour of the last day, on and around the edges of the windows.
    private func outage(_ merchantID: Int64, _ fixture: EngineFixture) async throws -> [Int64] {
        var all: [Int64] = []
        for (index, second) in stride(from: Int64(0), through: 24 * Self.hour, by: 1_800).enumerated() {
            let at = fixture.clock.wall - .seconds(24 * Self.hour - second)
            let ids = try await fixture.store.createPayouts(
                1, merchantID: merchantID, prefix: "outage-\(index)", now: at - .seconds(1))
            try await fixture.store.report(.paid, ids, at: at)
            all += ids
        }
        return all
    }

    private func open(_ request: ResendBatchRequest, _ fixture: EngineFixture) async throws -> ResendBatch {
        switch try await fixture.engine.openBatch(request, accountID: nil, by: Self.requester) {
        case .opened(let batch): return batch
        case .existing, .tooManyMerchants: throw Fixtures.Missing()
        }
    }

    private func run(_ fixture: EngineFixture) async throws {
        for _ in 0..<1_000 {
            if case .wait = try await fixture.engine.runner.step(now: fixture.clock.now) { return }
        }
    }

    private func state(_ batch: ResendBatch, _ fixture: EngineFixture) async throws -> ResendBatch {
        try #require(try await fixture.store.batch(publicID: batch.publicID, accountID: nil))
    }

    private func resent(_ fixture: EngineFixture) async throws -> [Int64] {
        try await fixture.store.rows(
            "SELECT payout_id FROM deliveries WHERE resend_id IS NOT NULL ORDER BY payout_id", columns: 1
        ).map { $0[0] }
    }

    @Test(
        "a day of outage over two merchants: every payout once, in windows that the API would take",
        arguments: TestEngine.allCases)
    func aDay(_ kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        let ids = try await outage(303, fixture) + outage(304, fixture)
        let wanted = request(fixture)
        let count = try #require(try await fixture.store.countBatch(wanted, accountID: nil))
        #expect((count.total, count.windows, count.shares.map(\.total)) == (98, 8, [49, 49]))
        let batch = try await open(wanted, fixture)
        try await run(fixture)
        let ended = try await state(batch, fixture)
        #expect((ended.state, ended.opened, ended.jobs, ended.runningJobs) == (.completed, 2, 16, 0))
        #expect((ended.total, ended.queued, ended.failed, ended.pending) == (98, 98, 0, 98))
        #expect(try await resent(fixture) == ids.sorted())
        let windows = try await fixture.store.rows(
            "SELECT window_start, window_end FROM resends WHERE merchant_id = 303 ORDER BY id", columns: 2)
        #expect(windows.allSatisfy { $0[1] - $0[0] <= 3 * Self.hour && $0[1] > $0[0] })
        #expect(zip(windows, windows.dropFirst()).allSatisfy { $0[1] + 1 == $1[0] })
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }

    @Test("what changes between two windows is in exactly one of them", arguments: TestEngine.allCases)
    func changesMeanwhile(_ kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        let end = fixture.clock.wall
        let early = try await fixture.store.createPayouts(1, now: end - .seconds(20 * Self.hour))
        try await fixture.store.report(.received, early, at: end - .seconds(20 * Self.hour))
        let late = try await fixture.store.createPayouts(1, prefix: "late", now: end - .seconds(60))
        try await fixture.store.report(.paid, late, at: end - .seconds(30))
        let batch = try await open(request(fixture, .named([303])), fixture)
        guard case .again = try await fixture.engine.runner.step(now: fixture.clock.now) else {
            Issue.record("no jobs were made")
            return
        }
        // Its new time lies in the last window, which is frozen like the first.
        try await fixture.store.report(.paid, early, at: end)
        try await run(fixture)
        #expect(try await resent(fixture) == (early + late).sorted())
        #expect(try await state(batch, fixture).total == 2)
    }

    @Test(
        "the same request again is the same batch, running or ended; --again is another",
        arguments: TestEngine.allCases)
    func asksAgain(_ kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        _ = try await outage(303, fixture)
        let wanted = request(fixture, .all)
        let batch = try await open(wanted, fixture)
        func existing(_ request: ResendBatchRequest) async throws -> String? {
            switch try await fixture.engine.openBatch(request, accountID: nil, by: Self.requester) {
            case .existing(let batch): batch.publicID
            case .opened, .tooManyMerchants: nil
            }
        }
        #expect(try await existing(wanted) == batch.publicID)
        var again = wanted
        again.again = true
        #expect(try await existing(again) == batch.publicID, "one that runs is not doubled in any case")
        try await run(fixture)
        #expect(try await state(batch, fixture).state == .completed)
        #expect(try await existing(wanted) == batch.publicID)
        #expect(try await fixture.store.number("SELECT count(*) FROM resends") == 8)
        #expect(try await existing(again) == nil)
        try await run(fixture)
        #expect(try await fixture.store.number("SELECT count(*) FROM resends") == 16)
        fixture.clock.advance(by: .seconds(86_401))
        #expect(try await existing(wanted) == nil, "after a day it is a new request")
    }

    @Test("of twenty equal requests at once one makes the batch", arguments: TestEngine.allCases)
    func atOnce(_ kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        _ = try await outage(303, fixture)
        let wanted = request(fixture)
        let opened = try await withThrowingTaskGroup(of: Bool.self) { tasks in
            for _ in 0..<20 {
                tasks.addTask {
                    let made = try await fixture.engine.openBatch(wanted, accountID: nil, by: Self.requester)
                    if case .opened = made { return true }
                    return false
                }
            }
            return try await tasks.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(opened == 1)
        #expect(try await fixture.store.number("SELECT count(*) FROM resend_batches") == 1)
    }

    @Test(
        "a job that holds the lock of a window is waited for, and other merchants go ahead",
        arguments: TestEngine.allCases)
    func waitsForALock(_ kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        let ids = try await outage(303, fixture) + outage(304, fixture)
        let window = range(fixture).split[3]
        let single = ResendRequest(
            merchantID: 303, window: window, statuses: [.canceled],
            options: ResendOptions(canary: 1))
        let other = try await fixture.store.createPayouts(
            1, prefix: "canceled", now: fixture.clock.wall - .seconds(86_000))
        try await fixture.store.report(.canceled, other, at: Timestamp(seconds: window.startSeconds + 7))
        let opening = ResendOpening(accountID: 1, jobID: "by-hand", requester: Self.requester)
        _ = try await fixture.store.openResend(single, opening, now: fixture.clock.wall)
        let batch = try await open(request(fixture), fixture)
        try await run(fixture)
        let waiting = try await state(batch, fixture)
        #expect((waiting.state, waiting.opened, waiting.queued) == (.processing, 1, 49))
        _ = try await fixture.store.cancelResend(
            jobID: "by-hand", accountID: nil, by: Self.requester, now: fixture.clock.wall)
        try await run(fixture)
        let ended = try await state(batch, fixture)
        #expect((ended.state, ended.opened, ended.queued) == (.completed, 2, Int64(ids.count + 1)))
    }

    @Test("windows of a merchant go one after the other, and a pace holds for all of them")
    func oneAfterTheOther() async throws {
        let fixture = try await EngineFixture()
        _ = try await outage(303, fixture)
        _ = try await open(request(fixture, .named([303]), options: ResendOptions(maxPerSecond: 2)), fixture)
        try await run(fixture)
        let running = try await fixture.store.rows(
            "SELECT queued, state = 'processing' FROM resends ORDER BY id", columns: 2)
        #expect(running.count == 8)
        #expect(running.drop { $0[1] == 0 }.dropFirst().allSatisfy { $0[0] == 0 }, "later ones have not begun")
        #expect(running.reduce(0) { $0 + $1[0] } < 49)
    }

    @Test("canceled, it makes no more jobs, and what was pending is skipped", arguments: TestEngine.allCases)
    func cancels(_ kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        _ = try await outage(303, fixture) + outage(304, fixture)
        let batch = try await open(request(fixture), fixture)
        _ = try await fixture.engine.runner.step(now: fixture.clock.now)
        _ = try await fixture.engine.runner.step(now: fixture.clock.now)
        let canceled = try #require(
            try await fixture.engine.cancelBatch(publicID: batch.publicID, accountID: nil, by: Self.requester).batch)
        #expect((canceled.state, canceled.pending, canceled.runningJobs) == (.canceled, 0, 0))
        try await run(fixture)
        let later = try await state(batch, fixture)
        #expect((later.jobs, later.queued, later.skipped) == (canceled.jobs, canceled.queued, canceled.queued))
        #expect(
            try await fixture.engine.cancelBatch(publicID: "none", accountID: nil, by: Self.requester).outcome
                == .notFound)
        #expect(
            try await fixture.engine.cancelBatch(publicID: batch.publicID, accountID: nil, by: Self.requester).outcome
                == .alreadyEnded)
        #expect(
            try await fixture.engine.cancelBatch(publicID: batch.publicID, accountID: 77, by: Self.requester).outcome
                == .notFound,
            "another account's")
        let anew = try await open(request(fixture), fixture)
        #expect(anew.publicID != batch.publicID, "what was canceled may be asked for again")
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }

    @Test("a kill between any two commits leaves nothing out and sends nothing twice", arguments: TestEngine.allCases)
    func killedAnywhere(_ kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        let ids = try await outage(303, fixture) + outage(304, fixture)
        _ = try await open(request(fixture), fixture)
        for seed in UInt64(2)..<202 {
            // Another node takes over after every step.
            let next = EngineFixture(after: fixture, seed: seed)
            guard case .again = try await next.engine.runner.step(now: fixture.clock.now) else { break }
        }
        #expect(try await resent(fixture) == ids.sorted())
        #expect(try await fixture.store.recount(engineNow: fixture.clock.engine).isEmpty)
    }

    @Test("many merchants go a few at a time", arguments: TestEngine.allCases)
    func fewAtATime(_ kind: TestEngine) async throws {
        let fixture = try await EngineFixture(on: kind)
        var merchants: [Int64] = []
        for id in Int64(500)..<509 {
            let merchant = NewMerchant(
                id: id, accountID: Fixtures.accountID, name: "Shop \(id)", signingSecret: try Fixtures.signingSecret)
            _ = try await fixture.store.createMerchant(merchant, actor: "test", now: Fixtures.start)
            let made = try await fixture.store.createPayouts(2, merchantID: id, prefix: "many")
            try await fixture.store.report(.paid, made, at: fixture.clock.wall - .seconds(60))
            merchants.append(id)
        }
        let batch = try await open(request(fixture, .named(merchants), options: ResendOptions(canary: 1)), fixture)
        try await run(fixture)
        let busy = try await state(batch, fixture)
        #expect((busy.opened, busy.runningJobs) == (Limits.batchMerchantsAtOnce, Limits.batchMerchantsAtOnce))
    }
}
