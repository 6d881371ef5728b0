import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Registrations as rows: receivers, moving, deleting (`docs/contract.md` 6.5).
struct RegistrationTests {
    private static let requester = Requester(actor: "user:246")

    private static func url(_ text: String) throws -> ReceiverURL {
        try ReceiverURL(parsing: text, policy: AddressPolicy())
    }

    private static func create(_ url: String, in store: Store) async throws -> Registration? {
        let merchant = try #require(try await store.merchant(id: Fixtures.merchantID, accountID: nil))
        let draft = RegistrationDraft(url: try Self.url(url), selection: .category(.cashOut))
        return try await store.createRegistration(draft, of: merchant, by: requester, now: Fixtures.start).registration
    }

    /// Receiver's origin is `a.example`'s or not, moving, deleted.
    private static func state(_ store: Store, _ id: Int64) async throws -> [Int64] {
        try await store.rows(
            """
            SELECT CASE WHEN v.origin = 'https://a.example:443' THEN 1 ELSE 0 END, r.is_moving,
                CASE WHEN r.deleted_at IS NULL THEN 0 ELSE 1 END
            FROM registrations r JOIN receivers v ON v.id = r.receiver_id AND v.merchant_id = r.merchant_id
            WHERE r.id = $1
            """, columns: 3, [.int(id)]
        ).first ?? []
    }

    @Test("registrations and payouts of one origin share the merchant's receiver", arguments: TestEngine.allCases)
    func receivers(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [Fixtures.merchantID, 304])
        _ = try await store.createPayouts(1)
        _ = try await store.createPayouts(1, merchantID: 304)
        _ = try await Self.create("https://a.example/one", in: store)
        _ = try await Self.create("https://a.example:443/two", in: store)
        _ = try await Self.create("https://b.example/", in: store)
        let receivers = try await store.rows(
            """
            SELECT (SELECT count(*) FROM registrations r WHERE r.receiver_id = v.id AND r.merchant_id = v.merchant_id)
            FROM receivers v ORDER BY v.merchant_id, v.origin
            """, columns: 1)
        #expect(receivers == [[2], [1], [0]])
    }

    @Test("only another origin makes a row move, and the mark stays", arguments: TestEngine.allCases)
    func moving(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let id = try #require(try await Self.create("https://a.example/one", in: store)).id
        func change(_ change: RegistrationChange) async throws -> Registration? {
            try await store.updateRegistration(id: id, change, by: Self.requester, now: Fixtures.start).registration
        }
        #expect(try await Self.state(store, id) == [1, 0, 0])
        #expect(
            try await change(RegistrationChange(url: try Self.url("https://A.example/two")))?.url
                == "https://A.example/two")
        _ = try await change(RegistrationChange(selection: .type(.pixCashOutError), functionsKey: .replaced("x")))
        #expect(try await Self.state(store, id) == [1, 0, 0])
        _ = try await change(RegistrationChange(url: try Self.url("https://a.example:8443/")))
        #expect(try await Self.state(store, id) == [0, 1, 0])
        _ = try await change(RegistrationChange(url: try Self.url("https://a.example:8443/again")))
        #expect(try await Self.state(store, id) == [0, 1, 0])
    }

    @Test("a deleted row stays, marked, and can be neither found nor changed", arguments: TestEngine.allCases)
    func deleting(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let id = try #require(try await Self.create("https://a.example/one", in: store)).id
        #expect(try await store.deleteRegistration(id: id, by: Self.requester, now: Fixtures.start))
        #expect(try await Self.state(store, id) == [1, 1, 1])
        #expect(try await !store.deleteRegistration(id: id, by: Self.requester, now: Fixtures.start))
        #expect(try await store.registration(id: id) == nil)
        #expect(try await store.listRegistrations(merchantID: Fixtures.merchantID).isEmpty)
        let change = RegistrationChange(selection: .category(.cashIn))
        #expect(
            try await store.updateRegistration(id: id, change, by: Self.requester, now: Fixtures.start) == .notFound)
        let actions = try await store.listAudit(CursorPage()).rows.map(\.action).filter { $0.hasPrefix("webhook.") }
        #expect(actions == ["webhook.delete", "webhook.create"])
    }

    @Test("a change that fails in the middle leaves the row as it was", arguments: TestEngine.allCases)
    func faultInTheMiddle(_ kind: TestEngine) async throws {
        let faults = FaultHolder()
        let store = try await Fixtures.store(kind, in: try ScratchFolder()) { base in
            let engine = FaultyEngine(base)
            faults.engine = engine
            return engine
        }
        let faulty = try #require(faults.engine)
        let id = try #require(try await Self.create("https://a.example/one", in: store)).id
        let before = try await store.registration(id: id)?.registration
        let change = RegistrationChange(
            url: try Self.url("https://b.example/"), selection: .category(.cashIn),
            authorizationToken: .replaced("token"))
        var failures = 0
        for statement in 1...50 {
            faulty.fail(atStatement: statement)
            do {
                _ = try await store.updateRegistration(id: id, change, by: Self.requester, now: Fixtures.start)
                break
            } catch {
                failures += 1
                faulty.disarm()
                #expect(try await store.registration(id: id)?.registration == before)
                #expect(try await Self.state(store, id) == [1, 0, 0])
            }
        }
        #expect(failures >= 5)
        #expect(try await store.registration(id: id)?.registration.url == "https://b.example/")
    }

    // MARK: One per URL and type

    private static func outcome(
        _ url: String, _ selection: EventSelection = .category(.cashOut), of merchantID: Int64 = Fixtures.merchantID,
        in store: Store
    ) async throws -> RegistrationOutcome {
        let merchant = try #require(try await store.merchant(id: merchantID, accountID: nil))
        let draft = RegistrationDraft(url: try Self.url(url), selection: selection)
        return try await store.createRegistration(draft, of: merchant, by: requester, now: Fixtures.start)
    }

    @Test("a merchant's URL is registered once for a type, however it is spelled", arguments: TestEngine.allCases)
    func once(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [Fixtures.merchantID, 304])
        let first = try #require(try await Self.outcome("https://a.example/hook", in: store).registration)
        for url in ["https://a.example/hook", "https://A.example:443/hook", "https://a.example/%68ook#part"] {
            #expect(try await Self.outcome(url, in: store) == .alreadyRegistered)
        }
        #expect(try await Self.outcome("https://a.example/hook", of: 304, in: store).registration != nil)
        let other = try #require(
            try await Self.outcome("https://a.example/hook", .category(.cashIn), in: store).registration)
        func change(_ change: RegistrationChange) async throws -> RegistrationOutcome {
            try await store.updateRegistration(id: other.id, change, by: Self.requester, now: Fixtures.start)
        }
        #expect(try await change(RegistrationChange(selection: .category(.cashOut))) == .alreadyRegistered)
        let elsewhere = RegistrationChange(url: try Self.url("https://b.example/"), selection: .category(.cashOut))
        #expect(try await change(elsewhere).registration?.url == "https://b.example/")
        #expect(
            try await change(RegistrationChange(url: try Self.url("https://A.example/hook"))) == .alreadyRegistered)
        #expect(try await store.deleteRegistration(id: first.id, by: Self.requester, now: Fixtures.start))
        #expect(try await change(RegistrationChange(url: try Self.url("https://A.example/hook"))).registration != nil)
        #expect(try await Self.outcome("https://a.example/hook", in: store) == .alreadyRegistered)
    }

    @Test("of simultaneous equal creates and changes one is taken", arguments: TestEngine.allCases)
    func simultaneous(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        var ids: [Int64] = []
        for number in 1...4 {
            ids.append(try #require(try await Self.create("https://a.example/\(number)", in: store)).id)
        }
        let change = RegistrationChange(url: try Self.url("https://a.example/hook"))
        let outcomes = try await withThrowingTaskGroup(of: RegistrationOutcome.self) { tasks in
            for id in ids {
                tasks.addTask {
                    try await store.updateRegistration(id: id, change, by: Self.requester, now: Fixtures.start)
                }
                tasks.addTask { try await Self.outcome("https://A.example/hook", in: store) }
            }
            return try await tasks.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count { $0.registration != nil } == 1)
        #expect(outcomes.count { $0 == .alreadyRegistered } == 7)
        let indexed = try await store.rows(
            "SELECT count(*) FROM registrations WHERE deleted_at IS NULL AND lower(url) = 'https://a.example/hook'",
            columns: 1)
        #expect(indexed == [[1]])
    }

    @Test(
        "of equal registrations in an older store the oldest stays, the others end, and no new one is stored",
        arguments: TestEngine.allCases)
    func migration(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [Fixtures.merchantID, 304])
        let step = try #require(Schema.migrations.first { $0.name == "one registration per URL and type" })
        let id = try #require(try await Self.create("https://a.example/hook", in: store)).id
        try await store.engine.write(.intake) { db in
            try db.run("DROP INDEX registrations_once")
            for (number, merchantID, type, deletedAt) in [
                (Int64(10), Fixtures.merchantID, "CASHOUT", SQLValue.null), (11, Fixtures.merchantID, "CASHOUT", .null),
                (12, Fixtures.merchantID, "CASHIN", .null), (13, 304, "CASHOUT", .null),
                (14, Fixtures.merchantID, "CASHIN", .null), (15, Fixtures.merchantID, "PIX_CASHOUT_ERROR", .int(7)),
                (16, Fixtures.merchantID, "PIX_CASHOUT_ERROR", .null),
            ] {
                try db.run(
                    """
                    INSERT INTO registrations (merchant_id, id, receiver_id, url, type, authorization_sealed, key_id,
                        deleted_at, created_at)
                    SELECT $1, $2, receiver_id, url, $3, $4, 'k', $5, 9 FROM registrations WHERE id = $6
                    """,
                    [.int(merchantID), .int(number), .text(type), .blob([1]), deletedAt, .int(id)])
            }
            for statement in step.statements { try db.run(statement) }
        }
        let rows = try await store.rows(
            """
            SELECT id, CASE WHEN deleted_at IS NULL THEN 0 ELSE deleted_at END, is_moving,
                CASE WHEN authorization_sealed IS NULL THEN 0 ELSE 1 END
            FROM registrations ORDER BY id
            """, columns: 4)
        #expect(
            rows == [
                [id, 0, 0, 0], [10, 9, 1, 0], [11, 9, 1, 0], [12, 0, 0, 1], [13, 0, 0, 1], [14, 9, 1, 0],
                [15, 7, 0, 1],
                [16, 0, 0, 1],
            ])
        await #expect(throws: (any Error).self) {
            try await store.engine.write(.intake) { db in
                try db.run("UPDATE registrations SET type = 'CASHIN' WHERE id = $1", [.int(id)])
            }
        }
    }
}
