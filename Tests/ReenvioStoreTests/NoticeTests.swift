import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The operator's notices: written by what causes them, claimed under a lease, gone once acknowledged.
struct NoticeTests {
    private static let start = Fixtures.start

    private func store(_ kind: TestEngine, _ outbox: NoticeOutbox? = NoticeOutbox()) async throws -> Store {
        try await Fixtures.store(kind, in: try ScratchFolder(), outbox: outbox)
    }

    private func record(_ claimed: ClaimedDelivery, _ next: AttemptRecord.Next) -> AttemptRecord {
        AttemptRecord(
            claimed: claimed, attemptID: Array(repeating: 1, count: 16), startedAt: Self.start, duration: .zero,
            statusCode: 500, reason: .httpStatus, answer: [], next: next)
    }

    private func claimed(_ store: Store, _ count: Int) async throws -> [ClaimedDelivery] {
        try await store.report(.paid, try await store.createPayouts(count))
        let order = ClaimOrder(now: Self.start, leaseUntil: Self.start + .seconds(30), token: 7, turns: Turns())
        return try await store.recordAndClaim([], now: Self.start, claim: order).claimed.deliveries
    }

    private func order(_ now: Timestamp = start, limit: Int = 8, wall: Timestamp = start) -> NoticeOrder {
        NoticeOrder(now: now, leaseUntil: now + .seconds(30), wall: wall, limit: limit)
    }

    private func claim(_ store: Store, _ now: Timestamp = start, limit: Int = 8) async throws -> [ClaimedNotice] {
        try await store.settleNotices([], claim: order(now, limit: limit)).notices
    }

    private func types(_ store: Store) async throws -> [String] {
        try await store.engine.read { db in try db.all("SELECT type FROM notices ORDER BY id") { $0.text(0) } }
    }

    private func giveUp(_ count: Int, _ store: Store) async throws {
        let records = try await claimed(store, count).map { record($0, .end(.exhausted)) }
        _ = try await store.recordAndClaim(records, now: Self.start, claim: nil)
    }

    private func request(_ statuses: [PayoutStatus] = [.paid]) -> ResendRequest {
        let second = Self.start.seconds
        return ResendRequest(
            merchantID: Fixtures.merchantID,
            window: ResendWindow(startSeconds: second - 60, endSeconds: second + 60), statuses: statuses)
    }

    private func dispatch(_ store: Store, _ request: ResendRequest, _ name: Character = "a") async throws -> Resend {
        let opening = ResendOpening(
            accountID: 1, jobID: String(repeating: name, count: 32), requester: Requester(actor: "key:test"))
        return try #require(try await store.openResend(request, opening, now: Self.start).resend)
    }

    private let rules = ChunkRules(now: start, due: start, policy: AddressPolicy(), backlogMax: 1_000_000)

    // MARK: What is written

    @Test(
        "breakers and deliveries given up are told by the commit of their outcomes, late results are not",
        arguments: TestEngine.allCases)
    func outcomes(_ kind: TestEngine) async throws {
        let store = try await store(kind)
        let deliveries = try await claimed(store, 2)
        let broke = ReceiverChange(
            receiverID: deliveries[0].queue.receiverID, what: .broke(.httpStatus, url: nil), at: Self.start)
        _ = try await store.recordAndClaim(
            [record(deliveries[0], .end(.exhausted)), record(deliveries[1], .retry(due: Self.start))],
            changes: [broke], now: Self.start, claim: nil)
        #expect(try await types(store) == ["receiver.broken", "delivery.exhausted"])
        _ = try await store.recordAndClaim([record(deliveries[0], .end(.exhausted))], now: Self.start, claim: nil)
        #expect(try await types(store).count == 2, "that result was late")
        let told = try #require(try await claim(store).last)
        let body = String(decoding: told.body, as: UTF8.self)
        #expect(body.contains(#""webhook_id":"\#(deliveries[0].webhookID)""#))
        #expect(body.contains(#""attempts":1,"reason":"http_status""#))
    }

    @Test("nothing is written where nobody is to be told", arguments: TestEngine.allCases)
    func nobody(_ kind: TestEngine) async throws {
        let store = try await store(kind, nil)
        try await giveUp(2, store)
        _ = try await dispatch(store, request([.rejected]))
        #expect(try await types(store).isEmpty)
        #expect(try await store.nextNoticeDue() == nil)
    }

    @Test(
        "each end of a job is told once: at its last chunk, canceled, failed, or empty", arguments: TestEngine.allCases)
    func jobs(_ kind: TestEngine) async throws {
        let store = try await store(kind)
        try await store.report(.paid, try await store.createPayouts(2))
        let whole = try await dispatch(store, request())
        while try await store.advanceResend(after: nil, rules).progress != .idle {}
        _ = try await store.cancelResend(
            jobID: whole.jobID, accountID: 1, by: Requester(actor: "key:test"), now: Self.start)
        let broken = try await dispatch(store, request(), "b")
        for _ in 0..<2 { try await store.failResend(id: broken.id, reason: "x", now: Self.start) }
        _ = try await dispatch(store, request([.rejected]), "c")
        let bodies = try await claim(store).map { String(decoding: $0.body, as: UTF8.self) }
        let ends = bodies.map { body in
            ["completed", "canceled", "failed"].first { body.contains(#""ended":"\#($0)""#) } ?? body
        }
        #expect(ends == ["completed", "canceled", "failed", "completed"])
        #expect(bodies.allSatisfy { $0.contains(#""type":"resend.ended""#) })
    }

    @Test("what a breaker deferred for 72 hours is told when it is given up", arguments: TestEngine.allCases)
    func givenUp(_ kind: TestEngine) async throws {
        let store = try await store(kind)
        let deliveries = try await claimed(store, 3)
        let broke = ReceiverChange(
            receiverID: deliveries[0].queue.receiverID, what: .broke(nil, url: nil), at: Self.start)
        _ = try await store.recordAndClaim(
            deliveries.map { record($0, .retry(due: Self.start)) }, changes: [broke], now: Self.start, claim: nil)
        let later = Self.start + .seconds(Limits.brokenKeptSeconds + 1)
        // Probes went out all the time; the last one a minute ago.
        try await store.engine.write(.outcomes) { db in
            try db.run("UPDATE receivers SET probed_at = $1", [.time(later - .seconds(60))])
        }
        #expect(try await store.expireBroken(now: later, engineNow: later) == 3)
        let told = try await claim(store, later).dropFirst().map { String(decoding: $0.body, as: UTF8.self) }
        #expect(told.count == 3)
        for delivery in deliveries {
            #expect(
                told.contains { $0.contains("\(delivery.webhookID)") && $0.contains(#""reason":"receiver_broken""#) })
        }
    }

    @Test("with ten thousand waiting the frequent ones are left out and counted, the rare ones are not")
    func bounded() async throws {
        let outbox = NoticeOutbox()
        let store = try await store(.standard, outbox)
        try await store.engine.write(.bulk) { db in
            for id in 1...Limits.noticesWaiting - 1 {
                try db.run(
                    "INSERT INTO notices (id, type, body, due_at, created_at) VALUES ($1, 'x', $2, $3, 0)",
                    [.int(-id), .blob([]), .int(Int64.max)])
            }
        }
        try await giveUp(3, store)
        _ = try await dispatch(store, request([.rejected]))
        #expect(
            try await types(store).filter { $0 != "x" } == ["delivery.exhausted", "resend.ended"])
        #expect(outbox.takeDropped() == 2)
        #expect(outbox.takeDropped() == 0)
    }

    // MARK: What is sent

    @Test(
        "a claim is a lease; the name stays, the attempt counts, an acknowledged one is gone",
        arguments: TestEngine.allCases)
    func leases(_ kind: TestEngine) async throws {
        let store = try await store(kind)
        try await giveUp(3, store)
        let first = try await claim(store, limit: 2)
        #expect(first.map(\.attempt) == [1, 1])
        let second = try await claim(store)
        #expect(second.count == 1 && !first.contains(second[0]))
        #expect(try await store.nextNoticeDue() == Self.start + .seconds(30))
        let again = try await claim(store, Self.start + .seconds(31))
        #expect(again.map(\.attempt) == [2, 2, 2])
        #expect(Set(again.map(\.webhookID)) == Set((first + second).map(\.webhookID)))
        #expect(Set(again.map(\.webhookID)).count == 3)
        let due = Self.start + .seconds(60)
        let taken = try await store.settleNotices(
            [
                NoticeResult(notice: again[0], next: .end), NoticeResult(notice: again[1], next: .retry(due: due)),
                NoticeResult(notice: again[2], next: .release(due: due)),
                // Of a lease that was lost: the later attempt decides.
                NoticeResult(notice: first[1], next: .retry(due: .init(microseconds: 5))),
            ], claim: nil)
        #expect(taken.notices.isEmpty && taken.nextDue == due)
        #expect(Set(try await claim(store, due).map(\.attempt)) == [2, 3])
    }

    @Test("who claims at the same time never gets the same one", arguments: TestEngine.allCases)
    func claimedAtOnce(_ kind: TestEngine) async throws {
        let store = try await store(kind)
        try await giveUp(60, store)
        let order = order()
        var claimed: [ClaimedNotice] = []
        while try await store.nextNoticeDue() ?? order.leaseUntil <= order.now {
            claimed += try await withThrowingTaskGroup(of: [ClaimedNotice].self) { tasks in
                for _ in 0..<4 { tasks.addTask { try await store.settleNotices([], claim: order).notices } }
                return try await tasks.reduce(into: []) { $0 += $1 }
            }
        }
        #expect(claimed.count == 60)
        #expect(Set(claimed.map(\.id)).count == 60)
        #expect(claimed.allSatisfy { $0.attempt == 1 })
    }

    @Test("a hold keeps what was stored, and lets what comes later go", arguments: TestEngine.allCases)
    func holds(_ kind: TestEngine) async throws {
        let store = try await store(kind)
        let requester = Requester(actor: "test")
        try await giveUp(2, store)
        let underWay = try #require(try await claim(store, limit: 1).first)
        _ = try await store.holdReceivers(by: requester, now: Self.start)
        _ = try await store.settleNotices([NoticeResult(notice: underWay, next: .retry(due: Self.start))], claim: nil)
        #expect(try await store.nextNoticeDue() == nil)
        #expect(try await claim(store, Self.start + .seconds(3_600)).isEmpty)
        _ = try await dispatch(store, request([.rejected]))
        #expect(try await claim(store).map(\.type) == ["resend.ended"])
        _ = try await store.releaseReceivers(
            merchantID: nil, by: requester, now: Self.start, engineNow: Self.start)
        #expect(try await claim(store).map(\.type) == ["delivery.exhausted", "delivery.exhausted"])
    }

    @Test("what is a week old is no news", arguments: TestEngine.allCases)
    func expires(_ kind: TestEngine) async throws {
        let store = try await store(kind)
        try await giveUp(2, store)
        let wall = Self.start + .seconds(Limits.noticeKeptSeconds + 1)
        let taken = try await store.settleNotices([], claim: order(wall: wall))
        #expect((taken.notices.count, taken.expired) == (0, 2))
        #expect(try await types(store).isEmpty)
    }

    @Test("a failed statement leaves neither the outcome nor its notice", arguments: TestEngine.allCases)
    func allOrNothing(_ kind: TestEngine) async throws {
        let folder = try ScratchFolder()
        let faulty = FaultyEngine(try kind.open(in: folder))
        let store = try await Fixtures.store(kind, in: folder, outbox: NoticeOutbox()) { _ in faulty }
        let records = try await claimed(store, 2).map { record($0, .end(.exhausted)) }
        var statement = 0
        repeat {
            statement += 1
            faulty.fail(atStatement: statement)
            do {
                _ = try await store.recordAndClaim(records, now: Self.start, claim: nil)
            } catch {
                #expect(try await types(store).isEmpty)
                #expect(try await store.number("SELECT count(*) FROM settled") == 0)
            }
        } while faulty.hasFired
        #expect(statement > 3)
        #expect(try await types(store).count == 2)
        #expect(try await store.number("SELECT count(*) FROM settled") == 2)
    }
}
