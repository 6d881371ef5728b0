import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// The queries of the dashboard, on every engine.
@Suite struct DashboardQueryTests {
    private static let own = Fixtures.accountID

    @Test(arguments: TestEngine.allCases)
    func findsPayoutsByEachOfTheirNames(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        let ids = try await store.createPayouts(3)
        let other = try await store.createPayouts(1, merchantID: 304)
        var change = StatusChangeRequest(payoutID: ids[1], status: .paid)
        change.endToEnd = "E-1"
        _ = try await store.commitIntake(
            IntakeBatch(changes: [change]), now: Fixtures.start, due: Fixtures.start, nonces: [1])
        for account in [nil, Self.own] {
            #expect(try await store.searchPayouts(String(ids[0]), accountID: account).map(\.id) == [ids[0]])
            #expect(try await store.searchPayouts("E-1", accountID: account).map(\.id) == [ids[1]])
            #expect(Set(try await store.searchPayouts("inv-0", accountID: account).map(\.id)) == [ids[0], other[0]])
            #expect(try await store.searchPayouts("inv", accountID: account).isEmpty)
            #expect(try await store.recentPayouts(accountID: account).count == 4)
        }
        let history = try await store.payoutHistory(id: ids[1], accountID: Self.own)
        #expect(history.map(\.status) == [.paid, .awaiting] && history.map(\.sequence) == [2, 1])
        for text in [String(ids[0]), "E-1", "inv-0"] {
            #expect(try await store.searchPayouts(text, accountID: 99).isEmpty)
        }
        #expect(try await store.recentPayouts(accountID: 99).isEmpty)
        #expect(try await store.payoutHistory(id: ids[1], accountID: 99).isEmpty)
    }

    @Test(arguments: TestEngine.allCases)
    func sumsUpAnAccount(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await store.report(.paid, try await store.createPayouts(5))
        let minute = ResendWindow.minute(ofSecond: Fixtures.start.seconds)
        let now = Fixtures.start + .seconds(30)
        let overview = try await store.accountOverview(Self.own, since: minute - 59, now: now)
        #expect(overview.backlog == [.live: 5] && !overview.isPartial)
        #expect(overview.accepted == [minute: 5])
        #expect(overview.oldestDue == Fixtures.start)
        #expect(try await store.accountOverview(99, since: minute - 59, now: now).backlog.isEmpty)
    }

    @Test(arguments: TestEngine.allCases)
    func listsWhatAnAccountHas(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        #expect(try await store.merchants(accountID: nil).map(\.id) == [303, 304])
        #expect(try await store.merchants(accountID: Self.own).count == 2)
        #expect(try await store.merchants(accountID: 99).isEmpty)
        #expect(try await store.keys(accountID: Self.own).isEmpty)
        #expect(try await store.listAudit(accountID: Self.own, CursorPage()).rows.count >= 2)
        #expect(try await store.listAudit(accountID: 99, CursorPage()).rows.isEmpty)
        for account in [nil, Self.own] {
            #expect(try await store.listLogDetails(accountID: account, CursorPage()).logs.isEmpty)
            #expect(try await store.sickReceivers(accountID: account).isEmpty)
            let page = CursorPage()
            let found = try await store.listReceivers(
                merchantID: 303, accountID: account, page, isBounded: true)
            #expect(found.receivers.isEmpty)
            #expect(try await store.receiver(id: 1, accountID: account) == nil)
            #expect(try await store.logDetails(id: 1, accountID: account) == nil)
        }
    }

    @Test(arguments: TestEngine.allCases)
    func keepsSessions(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        var generator = SystemRandomNumberGenerator()
        let text = APIKeyText(using: &generator)
        let key = APIKey(
            id: text.id, name: "test", accountID: Self.own, scopes: Scope.defaults, cidrs: [], expiresAt: nil,
            revokedAt: nil, createdAt: Fixtures.start)
        try await store.createKey(key, text: text, actor: "test", now: Fixtures.start)
        let token = SessionToken(using: &generator)
        let requester = Requester(actor: "key:\(key.id)")
        try await store.openSession(token, key: key, noting: SessionNote(by: requester), now: Fixtures.start)
        let later = Fixtures.start + .seconds(60)
        try await store.touchSession(token, now: later)
        let found = try #require(try await store.session(token))
        #expect(found.key.id == key.id && found.session.seenAt == later && found.session.createdAt == Fixtures.start)
        try await store.closeSession(token, key: key, noting: nil, now: later)
        #expect(try await store.session(token) == nil)
        try await store.openSession(token, key: key, noting: nil, now: Fixtures.start)
        let muchLater = Fixtures.start + .seconds(Limits.sessionSeconds + 1)
        try await store.openSession(SessionToken(using: &generator), key: key, noting: nil, now: muchLater)
        #expect(try await store.session(token) == nil)
    }

    /// With few rows or many, a payout's page looks at that payout, and a list of jobs at jobs.
    @Test func readsNoMoreThanItShows() async throws {
        let planning = Mutex<PlanningEngine?>(nil)
        let store = try await Fixtures.store(.sqlite, in: try ScratchFolder()) { base in
            let engine = PlanningEngine(base)
            planning.withLock { $0 = engine }
            return engine
        }
        let plans = try #require(planning.withLock { $0 })
        let ids = try await store.createPayouts(1)
        try await store.report(.paid, ids)
        #expect(try await store.payoutHistory(id: ids[0], accountID: nil).count == 2)
        #expect(try await store.deliveryLog(payoutID: ids[0], accountID: nil, now: Fixtures.start)?.count == 1)
        #expect(plans.steps(of: "WITH RECURSIVE").contains { $0.hasPrefix("SEARCH c USING PRIMARY KEY") })
        #expect(plans.wholeMerchants == [])
        for (account, merchant): (Int64?, Int64?) in [(nil, nil), (1, nil), (nil, 303), (1, 303)] {
            for state in [nil, Resend.State.failed] {
                let filter = ResendFilter(accountID: account, merchantID: merchant, state: state)
                #expect(try await store.listResends(filter, CursorPage()).jobs.isEmpty)
            }
        }
        let lists = plans.steps(of: "WHERE kind = 'v2-payout' AND id <")
        #expect(!lists.isEmpty && lists.allSatisfy { $0.contains("USING INDEX resends_jobs") }, "\(lists)")
        for account in [nil, Self.own] {
            #expect(try await store.listLogDetails(accountID: account, CursorPage()).logs.isEmpty)
        }
        let logs = plans.steps(of: "WHERE log_status IS NOT NULL AND id <")
        #expect(logs.count == 2 && logs.allSatisfy { $0.contains("USING INDEX resends_logs") }, "\(logs)")
    }
}
