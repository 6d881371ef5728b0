import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Bulk resends as transactions: `docs/contract.md` 4 and 5, `docs/architecture.md` rule 3.
struct ResendTests {
    private static let window = ResendWindow(
        startSeconds: Fixtures.start.seconds - 3_600, endSeconds: Fixtures.start.seconds + 3_600
    )
    private static let request = ResendRequest(
        merchantID: Fixtures.merchantID, window: window, statuses: PayoutStatus.notifiable
    )

    private func opening(_ name: String = "a") -> ResendOpening {
        ResendOpening(accountID: 1, jobID: String(repeating: name, count: 32), requester: Requester(actor: "key:test"))
    }

    private func rules(backlogMax: Int64 = 1_000_000, policy: AddressPolicy = AddressPolicy()) -> ChunkRules {
        ChunkRules(now: Fixtures.start + .seconds(9), due: Fixtures.start, policy: policy, backlogMax: backlogMax)
    }

    private func paidPayouts(_ count: Int, in store: Store, prefix: String = "inv") async throws -> [Int64] {
        let ids = try await store.createPayouts(count, prefix: prefix)
        for start in stride(from: 0, to: ids.count, by: 500) {
            try await store.report(.paid, Array(ids[start..<min(start + 500, ids.count)]))
        }
        return ids
    }

    private func finish(_ store: Store, _ rules: ChunkRules) async throws -> [ResendStep] {
        var steps: [ResendStep] = []
        while steps.count < 1_000 {
            let step = try await store.advanceResend(after: nil, rules)
            if step.progress == .idle { return steps }
            steps.append(step)
        }
        return steps
    }

    @Test("work goes in chunks of 200, and the counters go with them", arguments: TestEngine.allCases)
    func chunks(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await paidPayouts(450, in: store)
        let opened = try #require(try await store.openResend(Self.request, opening(), now: Fixtures.start).resend)
        #expect(opened.total == 450)
        var seen: [Int64] = []
        for _ in 0..<3 {
            _ = try await store.advanceResend(after: nil, rules())
            seen.append(try #require(try await store.resend(jobID: opened.jobID)).queued)
        }
        #expect(seen == [200, 400, 450])
        let ended = try #require(try await store.resend(jobID: opened.jobID))
        #expect(ended.state == .completed)
        #expect(ended.endedAt == Fixtures.start + .seconds(9))
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("what happens between chunks never disturbs queued + failed == total", arguments: TestEngine.allCases)
    func changesBetweenChunks(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(600)
        try await store.report(.received, Array(ids[..<500]))
        let opened = try #require(try await store.openResend(Self.request, opening(), now: Fixtures.start).resend)
        #expect(opened.total == 500)
        _ = try await store.advanceResend(after: nil, rules())
        // A silent status, a final one, and changes that would match but came after the dispatch.
        try await store.report(.processing, Array(ids[150..<300]), at: Fixtures.start + .seconds(1))
        try await store.report(.paid, Array(ids[250..<400]), at: Fixtures.start + .seconds(2))
        try await store.report(.received, Array(ids[500...]), at: Fixtures.start + .seconds(3))
        _ = try await finish(store, rules())
        let ended = try #require(try await store.resend(jobID: opened.jobID))
        #expect(ended.state == .completed)
        #expect((ended.queued, ended.failed, ended.total) == (500, 0, 500))
        let sent = try await store.rows(
            "SELECT payout_id FROM deliveries WHERE resend_id = $1", columns: 1, [.int(opened.id)])
        #expect(Set(sent.map { $0[0] }) == Set(ids[..<500]))
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("an acknowledgement after the dispatch does not take a payout out of the set", arguments: TestEngine.allCases)
    func dispatchTakesItsOwnNumber(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await paidPayouts(1, in: store)
        let opened = try #require(try await store.openResend(Self.request, opening(), now: Fixtures.start).resend)
        let frozen = try #require(
            try await store.number("SELECT frozen_seq FROM resends WHERE id = $1", [.int(opened.id)]))
        let clock = try #require(try await store.number("SELECT seq FROM merchant_clocks"))
        #expect(clock > frozen)
        #expect(ids.count == 1)
    }

    @Test("the lock is the merchant and the start time, and nothing else", arguments: TestEngine.allCases)
    func lock(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        _ = try await paidPayouts(1, in: store)
        #expect(try await store.openResend(Self.request, opening("a"), now: Fixtures.start).resend != nil)
        var other = Self.request
        other.window.endSeconds -= 10
        other.statuses = [PayoutStatus.canceled.id]
        #expect(
            try await store.openResend(other, opening("b"), now: Fixtures.start).resend == nil,
            "409 whatever would match")
        other = Self.request
        other.window.startSeconds += 1
        #expect(try await store.openResend(other, opening("c"), now: Fixtures.start).resend != nil)
        other = Self.request
        other.merchantID = 304
        #expect(try await store.openResend(other, opening("d"), now: Fixtures.start).resend != nil)
        _ = try await finish(store, rules())
        #expect(
            try await store.openResend(Self.request, opening("e"), now: Fixtures.start).resend != nil,
            "free after the end")
    }

    @Test("of fifty equal dispatches at once exactly one is accepted", arguments: TestEngine.allCases)
    func concurrentDispatches(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await paidPayouts(1, in: store)
        let accepted = try await withThrowingTaskGroup(of: Bool.self) { tasks in
            for index in 0..<50 {
                let opening = ResendOpening(
                    accountID: 1, jobID: "job-\(index)", requester: Requester(actor: "key:test"))
                tasks.addTask { try await store.openResend(Self.request, opening, now: Fixtures.start).resend != nil }
            }
            return try await tasks.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(accepted == 1)
        #expect(try await store.number("SELECT count(*) FROM resends") == 1)
    }

    @Test("a job that matches nothing is complete at once", arguments: TestEngine.allCases)
    func emptyJob(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let opened = try #require(try await store.openResend(Self.request, opening(), now: Fixtures.start).resend)
        let shown = try #require(try await store.resend(jobID: opened.jobID))
        #expect(shown.state == .completed)
        #expect((shown.total, shown.queued, shown.failed) == (0, 0, 0))
    }

    @Test("a URL that the policy refuses now counts as failed, and the job goes on", arguments: TestEngine.allCases)
    func refusedURL(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await paidPayouts(5, in: store)
        _ = try await store.engine.write(.intake) { db in
            try db.run("UPDATE payouts SET notification_url = 'https://127.0.0.1/hook' WHERE id = $1", [.int(ids[2])])
        }
        let opened = try #require(try await store.openResend(Self.request, opening(), now: Fixtures.start).resend)
        _ = try await finish(store, rules())
        let ended = try #require(try await store.resend(jobID: opened.jobID))
        #expect((ended.queued, ended.failed, ended.total, ended.state) == (4, 1, 5, .completed))
    }

    @Test("payouts without a URL and with silent statuses are not matched", arguments: TestEngine.allCases)
    func notMatched(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let silent = try await store.createPayouts(3, prefix: "silent")
        try await store.report(.processing, silent)
        let mute = try await store.createPayouts(3, prefix: "mute", url: nil)
        try await store.report(.paid, mute)
        #expect(try await store.countMatching(Self.request) == 0)
        _ = try await paidPayouts(2, in: store, prefix: "loud")
        #expect(try await store.countMatching(Self.request) == 2)
    }

    @Test("both window ends are included, to the second", arguments: TestEngine.allCases)
    func windowEnds(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(200)
        for (offset, id) in ids.enumerated() {
            let at = Fixtures.start + .seconds(offset) + .microseconds(offset.isMultiple(of: 2) ? 0 : 999_999)
            try await store.report(.paid, [id], at: at)
        }
        for (start, end) in [(0, 199), (1, 1), (30, 150), (59, 60), (60, 119), (61, 178), (5, 64)] where start < end {
            let window = ResendWindow(
                startSeconds: Fixtures.start.seconds + Int64(start), endSeconds: Fixtures.start.seconds + Int64(end)
            )
            let request = ResendRequest(merchantID: Fixtures.merchantID, window: window, statuses: [.paid])
            #expect(try await store.countMatching(request) == Int64(end - start + 1), "\(start)...\(end)")
        }
    }

    @Test("a step looks at 5,000 entries at most, and an empty one still moves on", arguments: TestEngine.allCases)
    func boundedSteps(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(5_100)
        for start in stride(from: 0, to: ids.count, by: 1_000) {
            try await store.report(.received, Array(ids[start..<min(start + 1_000, ids.count)]))
        }
        try await store.report(.paid, [ids[5_099]], at: Fixtures.start + .seconds(1))
        var request = Self.request
        request.statuses = [PayoutStatus.paid.id]
        let opened = try #require(try await store.openResend(request, opening(), now: Fixtures.start).resend)
        #expect(opened.total == 1)
        let steps = try await finish(store, rules())
        #expect(steps.map(\.queued) == [0, 1])
        #expect(steps.last?.progress == .ended(.completed))
    }

    @Test("the runner waits when too much of one job is undelivered; others go on", arguments: TestEngine.allCases)
    func backlog(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        _ = try await paidPayouts(450, in: store)
        let opened = try #require(try await store.openResend(Self.request, opening("a"), now: Fixtures.start).resend)
        for _ in 0..<2 { _ = try await store.advanceResend(after: nil, rules(backlogMax: 250)) }
        #expect(try await store.advanceResend(after: nil, rules(backlogMax: 250)).progress == .waiting)
        #expect(try #require(try await store.resend(jobID: opened.jobID)).queued == 400)
        let other = try await store.createPayouts(3, merchantID: 304)
        try await store.report(.paid, other)
        var request = Self.request
        request.merchantID = 304
        _ = try await store.openResend(request, opening("b"), now: Fixtures.start).resend
        let step = try await store.advanceResend(after: opened.id, rules(backlogMax: 250))
        #expect((step.progress, step.queued) == (.ended(.completed), 3))
    }

    @Test("a resend that cannot go on fails and frees its lock", arguments: TestEngine.allCases)
    func brokenResend(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await paidPayouts(3, in: store)
        let opened = try #require(try await store.openResend(Self.request, opening("a"), now: Fixtures.start).resend)
        // Damage: the row says that fewer were matched than the walk will meet.
        _ = try await store.engine.write(.intake) { db in try db.run("UPDATE resends SET total = 1") }
        await #expect(throws: ResendBroken.self) { try await store.advanceResend(after: nil, rules()) }
        #expect(try await store.number("SELECT count(*) FROM deliveries WHERE resend_id IS NOT NULL") == 0)
        try await store.failResend(id: opened.id, reason: "Internal server error.", now: Fixtures.start)
        let ended = try #require(try await store.resend(jobID: opened.jobID))
        #expect(ended.state == .failed)
        #expect(ended.reason == "Internal server error.")
        #expect(try await store.openResend(Self.request, opening("b"), now: Fixtures.start).resend != nil)
    }

    @Test(
        "whichever statement of a chunk fails, nothing of it is kept and the next try is whole",
        arguments: TestEngine.allCases)
    func faultAtEveryStatement(_ kind: TestEngine) async throws {
        let faults = FaultHolder()
        let store = try await Fixtures.store(kind, in: try ScratchFolder()) { base in
            let engine = FaultyEngine(base)
            faults.engine = engine
            return engine
        }
        let faulty = try #require(faults.engine)
        _ = try await paidPayouts(250, in: store)
        let opened = try #require(try await store.openResend(Self.request, opening(), now: Fixtures.start).resend)
        var failures = 0
        for statement in 1...50 {
            faulty.fail(atStatement: statement)
            do {
                _ = try await store.advanceResend(after: nil, rules())
                break
            } catch {
                failures += 1
                faulty.disarm()
                #expect(try await store.number("SELECT queued FROM resends WHERE id = $1", [.int(opened.id)]) == 0)
                #expect(
                    try await store.number("SELECT count(*) FROM deliveries WHERE resend_id = $1", [.int(opened.id)])
                        == 0)
            }
        }
        #expect(failures >= 5)
        faulty.disarm()
        _ = try await finish(store, rules())
        #expect(try #require(try await store.resend(jobID: opened.jobID)).queued == 250)
        #expect(try await store.recount(engineNow: Fixtures.start).isEmpty)
    }
}

/// A store of the version before, with payouts in it.
@Suite struct CountsMigrationTests {
    @Test func `counts of an older store are made from its rows`() async throws {
        let folder = try ScratchFolder()
        let store = try await Fixtures.store(in: folder, merchants: [303, 304])
        for merchantID: Int64 in [303, 304] {
            let ids = try await store.createPayouts(40, merchantID: merchantID)
            try await store.report(.received, Array(ids.prefix(30)))
            try await store.report(.paid, Array(ids.prefix(20)), at: Fixtures.start + .seconds(61))
        }
        try await store.createPayouts(5, prefix: "silent", url: nil).forEach { _ in }
        let before = try await store.rows("SELECT merchant_id, second, current FROM second_counts", columns: 3)
            .filter { $0[2] != 0 }
        #expect(before.count >= 4)
        try await store.engine.write(.intake) { db in
            for statement in [
                "DROP TABLE notices", "DROP TABLE set_aside", "ALTER TABLE notifications DROP COLUMN trace",
                "ALTER TABLE api_keys DROP COLUMN merchants",
                "ALTER TABLE resends DROP COLUMN trace", "ALTER TABLE attempts DROP COLUMN location",
                "ALTER TABLE receivers DROP COLUMN held_until", "ALTER TABLE receivers DROP COLUMN probed_at",
                "ALTER TABLE receivers DROP COLUMN probing_since", "ALTER TABLE receivers DROP COLUMN failed_url",
                "ALTER TABLE receivers DROP COLUMN well_url", "ALTER TABLE receivers DROP COLUMN acked_at",
                "DROP INDEX registrations_once", "DROP TABLE resend_batches", "DROP TABLE resend_batch_merchants",
                "DROP INDEX resends_of_batch", "DROP INDEX resends_of_batch_running",
                "ALTER TABLE resends DROP COLUMN batch_id", "DROP TABLE resend_failures",
                "ALTER TABLE resends DROP COLUMN failed_unnamed", "DROP INDEX payouts_erased",
                db.dialect == .postgres
                    ? "DROP SEQUENCE ids_notice" : "DELETE FROM id_sequences WHERE name = 'notice'",
                "DROP TABLE dashboard_sessions", "DROP INDEX payouts_end_to_end", "DROP INDEX audit_of_account",
                "DROP INDEX receivers_sick", "DROP INDEX resends_jobs", "DROP INDEX resends_jobs_of_account",
                "DROP INDEX resends_jobs_of_merchant", "DROP INDEX resends_logs", "DROP INDEX resends_logs_of_account",
                "DROP TABLE second_counts", "DROP TABLE receiver_counts", "DROP INDEX status_changes_silent",
                "ALTER TABLE resends DROP COLUMN next_slot", "ALTER TABLE resends DROP COLUMN canary_passed",
                "ALTER TABLE deliveries DROP COLUMN has_slot", "DELETE FROM migrations WHERE version >= 3",
            ] { try db.run(statement) }
        }
        let (again, applied) = try await Store.open(
            engine: store.engine, sealing: try Fixtures.sealingKey, now: Fixtures.start)
        #expect(applied.first == 3)
        #expect(try await again.recount(engineNow: Fixtures.start) == [])
        #expect(
            try await again.rows("SELECT merchant_id, second, current FROM second_counts", columns: 3) == before)
    }
}
