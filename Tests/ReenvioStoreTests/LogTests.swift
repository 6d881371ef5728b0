import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The list of a user's logs as rows (`docs/contract.md` 7.3).
struct LogTests {
    private static let user: Int64 = 246

    private static func ids(_ page: LogPage) -> [Int64] { page.logs.map(\.id) }

    private static func cursor(_ log: ResendLog?) -> ResendLogQuery.Cursor? {
        log.map { ResendLogQuery.Cursor(createdAt: $0.createdAt, id: $0.id) }
    }

    @Test("newest first, ties by id; the cursor is exclusive both ways", arguments: TestEngine.allCases)
    func order(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let seconds: [Int64] = [5, 5, 5, 3, 9]
        try await store.insertLogs(seconds.map { ResendLog.fixture(second: $0) })
        let all = try await store.listLogs(ResendLogQuery(), userID: Self.user)
        #expect(Self.ids(all) == [5, 3, 2, 1, 4])
        #expect(!all.hasOlder)
        #expect(!all.hasNewer)
        let middle = Self.cursor(all.logs[2])
        let older = try await store.listLogs(ResendLogQuery(limit: 1, cursor: middle), userID: Self.user)
        #expect(Self.ids(older) == [1])
        #expect(older.hasOlder)
        #expect(older.hasNewer)
        let newer = try await store.listLogs(
            ResendLogQuery(limit: 1, cursor: middle, direction: .previous), userID: Self.user)
        #expect(Self.ids(newer) == [3], "the nearest newer one")
        #expect(newer.hasNewer)
        let both = try await store.listLogs(
            ResendLogQuery(limit: 2, cursor: middle, direction: .previous), userID: Self.user)
        #expect(Self.ids(both) == [5, 3], "turned round: newest first")
        #expect(!both.hasNewer)
        #expect(both.hasOlder)
    }

    @Test("a place that no row has is a cursor, too; beyond the ends there is nothing", arguments: TestEngine.allCases)
    func places(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await store.insertLogs([1, 2, 4].map { ResendLog.fixture(second: $0) })
        func list(_ microseconds: Int64, _ id: Int64, _ direction: ResendLogQuery.Direction) async throws -> [Int64] {
            let cursor = ResendLogQuery.Cursor(createdAt: Fixtures.start + .microseconds(microseconds), id: id)
            return Self.ids(
                try await store.listLogs(ResendLogQuery(cursor: cursor, direction: direction), userID: Self.user))
        }
        #expect(try await list(3_000_000, 99, .next) == [2, 1])
        #expect(try await list(3_000_000, 99, .previous) == [3])
        #expect(try await list(2_000_000, 1, .next) == [1])
        #expect(try await list(2_000_000, 1, .previous) == [3, 2])
        #expect(try await list(2_500_000, 0, .next) == [2, 1], "a fraction of a second counts")
        #expect(try await list(9_000_000, 0, .previous) == [])
        #expect(try await list(0, 0, .next) == [])
        #expect(try await list(9_000_000, 0, .next) == [3, 2, 1])
    }

    @Test("only one's own logs, and no v2 job; filters combine", arguments: TestEngine.allCases)
    func filters(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await store.insertLogs([
            .fixture(second: 1, status: .failed, object: 5, mirror: 42),
            .fixture(second: 2, status: .completed, object: 5, mirror: nil),
            .fixture(second: 3, status: .failed, object: nil, mirror: 42),
            .fixture(second: 4, status: .failed, object: 6, mirror: 43),
            .fixture(user: 247, second: 5, status: .failed, object: 5, mirror: 42),
        ])
        _ = try await store.createPayouts(1)
        let request = try #require(
            ResendRequest.read(
                try Self.object(
                    #"{"merchant_id":303,"start_time":"2026-03-24 07:00:00","end_time":"2026-03-24 09:00:00"}"#)
            ).request)
        let opening = ResendOpening(
            accountID: Fixtures.accountID, jobID: String(repeating: "0", count: 32),
            requester: Requester(actor: "key:1"))
        _ = try await store.openResend(request, opening, now: Fixtures.start)
        func list(_ status: ResendLog.Status?, _ object: Int64?, _ mirror: Int64?, user: Int64 = 246) async throws
            -> [Int64]
        {
            let filters = ResendLogQuery.Filters(status: status, objectID: object, mirrorID: mirror)
            return Self.ids(try await store.listLogs(ResendLogQuery(filters: filters), userID: user))
        }
        #expect(try await list(nil, nil, nil) == [4, 3, 2, 1])
        #expect(try await list(.failed, nil, nil) == [4, 3, 1])
        #expect(try await list(nil, 5, nil) == [2, 1])
        #expect(try await list(nil, nil, 42) == [3, 1])
        #expect(try await list(.failed, 5, nil) == [1])
        #expect(try await list(.failed, nil, 42) == [3, 1])
        #expect(try await list(nil, 5, 42) == [1])
        #expect(try await list(.failed, 5, 42) == [1])
        #expect(try await list(.completed, 5, 42) == [])
        #expect(try await list(.pending, nil, nil) == [])
        #expect(try await list(nil, nil, nil, user: 247) == [5])
        #expect(try await list(nil, nil, nil, user: 1) == [])
    }

    private static func object(_ text: String) throws -> JSONObject {
        guard case .object(let object) = try JSONParser.parse(Array(text.utf8)) else { return JSONObject() }
        return object
    }

    @Test("a log is read whole, by its id too", arguments: TestEngine.allCases)
    func whole(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        var log = ResendLog.fixture(second: 1, status: .failed, object: 5, mirror: 42)
        log.category = .cashIn
        log.window = ResendWindow(startSeconds: 10, endSeconds: 20)
        log.updatedAt = Fixtures.start + .seconds(321)
        log.processedAt = log.updatedAt
        log.errorMessage = "QR code webhook could not be resent: HTTP 404"
        log.id = try #require(try await store.insertLogs([log]).first)
        #expect(try await store.listLogs(ResendLogQuery(), userID: Self.user).logs == [log])
        #expect(try await store.resendLog(id: log.id) == log)
        #expect(try await store.resendLog(id: 99) == nil)
    }

    /// Every list that can be asked for.
    private static let everyFilter: [ResendLogQuery.Filters] = [nil, ResendLog.Status.failed].flatMap { status in
        [nil, Int64(5)].flatMap { object in
            [nil, Int64(42)].map { ResendLogQuery.Filters(status: status, objectID: object, mirrorID: $0) }
        }
    }

    @Test("each list begins at its place in the index of its filter, and sorts nothing", arguments: [TestEngine.sqlite])
    func plans(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let cursor = ResendLogQuery.Cursor(createdAt: Fixtures.start, id: 5)
        for filters in Self.everyFilter {
            let (index, columns) =
                if filters.objectID != nil {
                    ("resends_by_object", "user_id=? AND object_id=?")
                } else if filters.mirrorID != nil, filters.status != nil {
                    ("resends_by_mirror_status", "user_id=? AND mirror_id=? AND log_status=?")
                } else if filters.mirrorID != nil {
                    ("resends_by_mirror", "user_id=? AND mirror_id=?")
                } else if filters.status != nil {
                    ("resends_by_status", "user_id=? AND log_status=?")
                } else {
                    ("resends_of_user", "user_id=?")
                }
            for direction in ResendLogQuery.Direction.allCases {
                let side = direction == .next ? "<" : ">"
                for (span, place) in [
                    (LogList.Span.all, ""), (.sameMoment(cursor), " AND started_at=? AND id\(side)?"),
                    (.beyond(cursor), " AND started_at\(side)?"),
                ] {
                    let (sql, parameters) = LogList(filters, userID: Self.user).statement(span, direction, limit: 21)
                    let plan = try await store.engine.read { db in
                        try db.all("EXPLAIN QUERY PLAN " + sql, parameters) { $0.text(3) }
                    }
                    #expect(plan == ["SEARCH resends USING INDEX \(index) (\(columns)\(place))"])
                }
            }
        }
    }

    @Test("walks over random histories, both ways, with new logs in between, see each row once", arguments: 1...40)
    func walks(_ seed: Int) async throws {
        let store = try await Fixtures.store(in: try ScratchFolder())
        var dice = SeededDice(seed: UInt64(seed))
        // Filters whose columns do not change.
        let filters = ResendLogQuery.Filters(
            objectID: Bool.random(using: &dice) ? 5 : nil, mirrorID: Bool.random(using: &dice) ? 42 : nil)
        var now: Int64 = 0
        /// Logs come in order of time, many in one second; some are another user's, some not met by the filters.
        func insert(_ count: Int) async throws {
            var logs: [ResendLog] = []
            for _ in 0..<count {
                now += Int64.random(in: -2...1, using: &dice) > 0 ? 1 : 0
                logs.append(
                    .fixture(
                        user: Int.random(in: 0..<4, using: &dice) == 0 ? 247 : 246, second: now,
                        object: Int64.random(in: 5...6, using: &dice), mirror: Int64.random(in: 42...43, using: &dice)))
            }
            try await store.insertLogs(logs)
        }
        func page(_ cursor: ResendLogQuery.Cursor?, _ direction: ResendLogQuery.Direction) async throws -> LogPage {
            try await store.listLogs(
                ResendLogQuery(
                    filters: filters, limit: Int64.random(in: 1...9, using: &dice), cursor: cursor,
                    direction: direction), userID: Self.user)
        }
        func all() async throws -> [Int64] {
            Self.ids(try await store.listLogs(ResendLogQuery(filters: filters, limit: 1_000), userID: Self.user))
        }
        try await insert(Int.random(in: 0...120, using: &dice))
        let atFirst = try await all()
        var down = try await page(nil, .next)
        var seen = Self.ids(down)
        while down.hasOlder {
            try await insert(Int.random(in: 0...3, using: &dice))
            down = try await page(Self.cursor(down.logs.last), .next)
            #expect(down.hasNewer)
            seen += Self.ids(down)
        }
        #expect(seen == atFirst, "down: what was there when the walk began, each once, newest first")
        guard var up = down.logs.isEmpty ? nil : down else { return }
        var climbed = Self.ids(up)
        while up.hasNewer {
            if climbed.count < 200 { try await insert(Int.random(in: 0...3, using: &dice)) }
            up = try await page(Self.cursor(up.logs.first), .previous)
            #expect(up.hasOlder)
            climbed = Self.ids(up) + climbed
        }
        #expect(climbed == (try await all()), "up: everything there is by then, each once, newest first")
        #expect(Set(climbed).count == climbed.count)
    }
}

/// Repeats the same throws for the same seed (SplitMix64).
private struct SeededDice: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
