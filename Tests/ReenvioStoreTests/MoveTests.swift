import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// URLs that move to another origin (`docs/contract.md` 13.16).
struct MoveTests {
    private static let requester = Requester(actor: "key:operator")
    private static let engineNow = Fixtures.start + .seconds(60)

    private static func move(
        to: String = "https://b.example", dryRun: Bool = false, after: Int64? = nil, authorization: String? = nil
    ) throws -> OriginMove {
        OriginMove(
            merchantID: Fixtures.merchantID, from: "https://a.example:443",
            to: try ReceiverURL(parsing: to, policy: AddressPolicy()), isDryRun: dryRun, after: after,
            authorizationToken: authorization)
    }

    private func run(_ move: OriginMove, _ store: Store) async throws -> OriginMoved {
        try await store.moveOrigin(move, by: Self.requester, now: Fixtures.start)
    }

    private func receiver(_ origin: String, _ store: Store) async throws -> Int64 {
        try #require(
            try await store.number(
                "SELECT id FROM receivers WHERE merchant_id = 303 AND origin = $1", [.text(origin)]))
    }

    private func lanes(of receiverID: Int64, _ store: Store) async throws -> [Int64: Int64] {
        let rows = try await store.rows(
            "SELECT queue_id, count(*) FROM deliveries WHERE queue_id / 4 = $1 GROUP BY queue_id", columns: 2,
            [.int(receiverID)])
        return Dictionary(uniqueKeysWithValues: rows.map { ($0[0] & 3, $0[1]) })
    }

    private func claim(_ store: Store, _ now: Timestamp, token: Int64 = 7) async throws -> [ClaimedDelivery] {
        let order = ClaimOrder(now: now, leaseUntil: now + .seconds(30), token: token, turns: Turns())
        return try await store.recordAndClaim([], now: now, claim: order).claimed.deliveries
    }

    private func record(
        _ claimed: ClaimedDelivery, _ next: AttemptRecord.Next, _ status: Int, _ store: Store
    ) async throws -> RecordResult {
        let record = AttemptRecord(
            claimed: claimed, attemptID: Array(repeating: UInt8(claimed.id & 255), count: 16),
            startedAt: Fixtures.start, duration: .milliseconds(1), statusCode: status,
            reason: status == 200 ? nil : .httpStatus, answer: [], next: next)
        return try await store.recordAndClaim([record], now: Fixtures.start, claim: nil).recorded
    }

    @Test(
        "payouts, counts and what waits in every lane go to the new origin; path and query stay",
        arguments: TestEngine.allCases)
    func everythingMoves(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        let ids = try await store.createPayouts(6, url: "https://a.example/hook?shop=1")
        let others = try await store.createPayouts(2, prefix: "other", url: "https://c.example/hook")
        let foreign = try await store.createPayouts(1, merchantID: 304)
        let silent = try await store.createPayouts(1, prefix: "silent", url: nil)
        try await store.report(.paid, ids + others + foreign + silent)
        let failed = try #require(try await claim(store, Fixtures.start).first { $0.payoutID == ids[0] })
        _ = try await record(failed, .retry(due: Fixtures.start + .seconds(90)), 500, store)
        let request = ResendRequest(
            merchantID: 303,
            window: ResendWindow(startSeconds: Fixtures.start.seconds - 60, endSeconds: Fixtures.start.seconds + 60),
            statuses: PayoutStatus.notifiable)
        let opening = ResendOpening(accountID: 1, jobID: "job", requester: Self.requester)
        _ = try await store.openResend(request, opening, now: Fixtures.start)
        let rules = ChunkRules(
            now: Fixtures.start, due: Fixtures.start, policy: AddressPolicy(), backlogMax: 1_000_000)
        while try await store.advanceResend(after: nil, rules).progress != .idle {}

        let planned = try await run(try Self.move(dryRun: true), store)
        #expect((planned.payouts, planned.openDeliveries, planned.next) == (6, 12, nil))
        #expect(try await store.number("SELECT count(*) FROM payouts WHERE notification_url LIKE '%b.example%'") == 0)

        let moved = try await run(try Self.move(), store)
        #expect((moved.payouts, moved.openDeliveries, moved.tooLong, moved.next) == (6, 12, 0, nil))
        #expect(
            try await store.number(
                "SELECT count(*) FROM payouts WHERE notification_url = 'https://b.example/hook?shop=1'") == 6)
        #expect(try await store.number("SELECT count(*) FROM payouts WHERE notification_url LIKE '%a.example%'") == 1)
        let new = try await receiver("https://b.example:443", store)
        let old = try await receiver("https://a.example:443", store)
        #expect(try await lanes(of: new, store) == [0: 5, 1: 1, 2: 6])
        #expect(try await lanes(of: old, store) == [:])
        let counts = try await store.rows(
            """
            SELECT CAST(sum(current) AS BIGINT), CAST(sum(unacked) AS BIGINT) FROM receiver_counts
            WHERE receiver_id = $1
            """,
            columns: 2, [.int(new)])
        #expect(counts == [[6, 6]])
        #expect(try await store.recount(engineNow: Self.engineNow).isEmpty)
        let next = try await claim(store, Fixtures.start + .seconds(40), token: 9)
        #expect(Set(next.filter { ids.contains($0.payoutID ?? 0) }.map(\.url)) == ["https://b.example/hook?shop=1"])
        #expect(try await run(try Self.move(), store) == OriginMoved(), "again there is nothing left to move")
        let audit = try await store.listAudit(CursorPage()).rows.filter { $0.action == "merchant.move-urls" }
        #expect(audit.map(\.parameters).first == "from https://a.example:443 to https://b.example:443")
    }

    @Test(
        "an attempt under way is recorded where it was made, and its retry waits at the new origin",
        arguments: TestEngine.allCases)
    func underWay(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(3)
        try await store.report(.paid, ids)
        let claimed = try await claim(store, Fixtures.start).sorted { $0.id < $1.id }
        #expect(claimed.count == 3)
        _ = try await run(try Self.move(), store)
        let acked = try await record(claimed[0], .end(.acknowledged), 200, store)
        let retried = try await record(claimed[1], .retry(due: Fixtures.start + .seconds(5)), 500, store)
        let released = try await record(claimed[2], .release(due: Fixtures.start + .seconds(1)), 0, store)
        #expect((acked.late, retried.late, released.late) == (0, 0, 0))
        let new = try await receiver("https://b.example:443", store)
        #expect(try await lanes(of: new, store) == [0: 1, 1: 1])
        #expect(try await store.recount(engineNow: Self.engineNow).isEmpty, "the acknowledgement counts there, too")
        let again = try await claim(store, Fixtures.start + .seconds(6), token: 9)
        #expect(again.map(\.url) == Array(repeating: "https://b.example/hook", count: 2))
        let log = try await store.deliveryLog(payoutID: ids[0], accountID: nil, now: Fixtures.start)
        #expect(log?.first?.deliveries.first?.url == Fixtures.receiverURL, "the log shows where it went")
        let late = try await record(claimed[1], .retry(due: Fixtures.start + .seconds(5)), 500, store)
        #expect(late.late == 1)
    }

    @Test("a job that runs goes on exactly, whatever moved between its chunks", arguments: TestEngine.allCases)
    func betweenChunks(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(450)
        try await store.report(.paid, ids)
        let request = ResendRequest(
            merchantID: 303,
            window: ResendWindow(startSeconds: Fixtures.start.seconds - 60, endSeconds: Fixtures.start.seconds + 60),
            statuses: PayoutStatus.notifiable)
        let opening = ResendOpening(accountID: 1, jobID: "job", requester: Self.requester)
        _ = try await store.openResend(request, opening, now: Fixtures.start)
        let rules = ChunkRules(
            now: Fixtures.start, due: Fixtures.start, policy: AddressPolicy(), backlogMax: 1_000_000)
        _ = try await store.advanceResend(after: nil, rules)
        _ = try await run(try Self.move(), store)
        while try await store.advanceResend(after: nil, rules).progress != .idle {}
        let job = try #require(try await store.resend(jobID: "job"))
        #expect((job.state, job.queued, job.failed, job.total) == (.completed, 450, 0, 450))
        #expect(try await lanes(of: try await receiver("https://b.example:443", store), store) == [0: 450, 2: 450])
        #expect(try await store.recount(engineNow: Self.engineNow).isEmpty)
    }

    @Test(
        "a move that fails anywhere leaves a sound store, and asked for again it ends the same",
        arguments: TestEngine.allCases)
    func faultsAnywhere(_ kind: TestEngine) async throws {
        let faults = MoveFaults()
        let store = try await Fixtures.store(kind, in: try ScratchFolder()) { base in
            let engine = FaultyEngine(base)
            faults.engine = engine
            return engine
        }
        let ids = try await store.createPayouts(20)
        try await store.report(.paid, ids)
        let engine = try #require(faults.engine)
        for statement in 1...60 {
            engine.fail(atStatement: statement)
            let outcome = try? await run(try Self.move(), store)
            engine.disarm()
            #expect(try await store.recount(engineNow: Self.engineNow).isEmpty)
            if outcome != nil { break }
        }
        _ = try await run(try Self.move(), store)
        #expect(try await store.number("SELECT count(*) FROM payouts WHERE notification_url LIKE '%a.example%'") == 0)
        #expect(try await lanes(of: try await receiver("https://b.example:443", store), store) == [0: 20])
        #expect(try await store.recount(engineNow: Self.engineNow).isEmpty)
    }

    @Test(
        "registrations follow without their tokens, which may be given anew; an equal one absorbs them",
        arguments: TestEngine.allCases)
    func registrations(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let merchant = try #require(try await store.merchant(id: 303, accountID: nil))
        func register(_ url: String, token: String?) async throws -> Int64 {
            let draft = RegistrationDraft(
                url: try ReceiverURL(parsing: url, policy: AddressPolicy()), selection: .category(.cashOut),
                authorizationToken: token)
            let outcome = try await store.createRegistration(
                draft, of: merchant, by: Self.requester, now: Fixtures.start)
            guard case .saved(let registration) = outcome else { throw Fixtures.Missing() }
            return registration.id
        }
        let first = try await register("https://a.example/one", token: "secret")
        let second = try await register("https://a.example/two", token: nil)
        let twin = try await register("https://b.example/two", token: "theirs")
        let planned = try await run(try Self.move(dryRun: true), store)
        #expect((planned.registrations, planned.tokensCleared) == (2, 1))
        let moved = try await run(try Self.move(), store)
        #expect((moved.registrations, moved.tokensCleared) == (2, 1))
        let found = try await store.listRegistrations(merchantID: 303)
        #expect(found.map(\.id) == [first, twin])
        #expect(found.map(\.url) == ["https://b.example/one", "https://b.example/two"])
        #expect(found.map(\.hasAuthorizationToken) == [false, true])
        #expect(try await store.registration(id: second) == nil, "its twin is there already")
        let back = OriginMove(
            merchantID: 303, from: "https://b.example:443",
            to: try ReceiverURL(parsing: "https://d.example", policy: AddressPolicy()), authorizationToken: "new")
        #expect(try await run(back, store).tokensCleared == 0)
        #expect(try await store.listRegistrations(merchantID: 303).map(\.hasAuthorizationToken) == [true, true])
    }

    @Test("one payout gets another URL, or its first; what waits follows", arguments: TestEngine.allCases)
    func onePayout(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(3, url: "https://a.example/hook")
        let silent = try await store.createPayouts(1, prefix: "silent", url: nil)
        try await store.report(.paid, ids + silent)
        let url = try ReceiverURL(parsing: "https://b.example/new", policy: AddressPolicy())
        #expect(try await store.setPayoutURL(id: ids[1], url, by: Self.requester, now: Fixtures.start))
        #expect(try await store.setPayoutURL(id: silent[0], url, by: Self.requester, now: Fixtures.start))
        #expect(try await !store.setPayoutURL(id: 999, url, by: Self.requester, now: Fixtures.start))
        #expect(try await lanes(of: try await receiver("https://b.example:443", store), store) == [0: 1])
        #expect(try await store.recount(engineNow: Self.engineNow).isEmpty)
        let claimed = try await claim(store, Fixtures.start)
        #expect(claimed.filter { $0.payoutID == ids[1] }.map(\.url) == ["https://b.example/new"])
        #expect(claimed.count == 3, "what happened before there was a URL stays untold")
        let actions = try await store.listAudit(CursorPage()).rows.filter { $0.action == "payout.set-url" }
        #expect(
            actions.map(\.parameters) == [
                "from none to https://b.example:443", "from https://a.example:443 to https://b.example:443",
            ])
        #expect(try await store.setPayoutURL(id: ids[1], url, by: Self.requester, now: Fixtures.start))
        #expect(
            try await store.listAudit(CursorPage()).rows.count(where: { $0.action == "payout.set-url" }) == 2,
            "the URL that it has is no change")
    }
}

private final class MoveFaults {
    var engine: FaultyEngine?
}
