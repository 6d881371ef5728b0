import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Users and token keys as rows (`docs/contract.md` 9).
struct UserTests {
    private static let requester = Requester(actor: "cli:test")

    private static func new(_ id: Int64? = nil, merchants: Set<Int64>? = nil) -> NewUser {
        var generator = SystemRandomNumberGenerator()
        return NewUser(
            id: id, accountID: Fixtures.accountID, merchants: merchants,
            credentials: ClientCredentials(using: &generator))
    }

    @discardableResult
    private static func create(_ user: NewUser, in store: Store) async throws -> Int64 {
        try await store.createUser(user, by: requester, now: Fixtures.start)
    }

    @Test("a user is found by its id and by its pair, and by no other pair", arguments: TestEngine.allCases)
    func finding(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        let new = Self.new(246, merchants: [304])
        #expect(try await Self.create(new, in: store) == 246)
        #expect(try await Self.create(Self.new(), in: store) == 247, "ids go on behind the largest one given")
        let user = User(id: 246, accountID: Fixtures.accountID, policies: .only([304]))
        #expect(try await store.user(id: 246) == user)
        #expect(try await store.user(id: 247)?.policies == .all)
        #expect(try await store.user(id: 248) == nil)
        let hash = ClientCredentials.hash(new.credentials.secret)
        #expect(try await store.user(clientID: new.credentials.clientID, secretHash: hash) == user)
        #expect(try await store.user(clientID: "other", secretHash: hash) == nil)
        #expect(try await store.user(clientID: "other", secretHash: Array(repeating: 0, count: 32)) == nil)
        let wrong = ClientCredentials.hash("other")
        #expect(try await store.user(clientID: new.credentials.clientID, secretHash: wrong) == nil)
    }

    @Test("unknown accounts, taken ids and foreign merchants leave nothing behind", arguments: TestEngine.allCases)
    func refused(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await Self.create(Self.new(246), in: store)
        var foreign = Self.new()
        foreign.accountID = 9
        for user in [Self.new(246), Self.new(merchants: [303, 404]), foreign, Self.new(merchants: Set(1...1_001))] {
            await #expect(throws: CreationRefused.self) { try await Self.create(user, in: store) }
        }
        #expect(try await store.number("SELECT count(*) FROM users") == 1)
        #expect(try await store.number("SELECT count(*) FROM user_policies") == 0)
        let audit = try await store.listAudit(CursorPage()).rows.filter { $0.action.hasPrefix("user.") }
        #expect(audit.map(\.target) == ["user 246"])
        #expect(audit.first?.parameters == "merchants all")
    }

    @Test("a user is deactivated once", arguments: TestEngine.allCases)
    func deactivating(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await Self.create(Self.new(246), in: store)
        #expect(try await store.user(id: 246)?.isActive == true)
        for offset in [Duration.zero, .seconds(5)] {
            let user = try await store.deactivateUser(id: 246, by: Self.requester, now: Fixtures.start + offset)
            #expect(user?.deactivatedAt == Fixtures.start)
        }
        #expect(try await store.user(id: 246)?.isActive == false)
        #expect(try await store.deactivateUser(id: 9, by: Self.requester, now: Fixtures.start) == nil)
        let audit = try await store.listAudit(CursorPage()).rows.filter { $0.action == "user.deactivate" }
        #expect(audit.map(\.target) == ["user 246"])
    }

    @Test("an HMAC key is sealed, replaced, and bound to its user", arguments: TestEngine.allCases)
    func hmacKeys(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await Self.create(Self.new(246), in: store)
        try await Self.create(Self.new(247), in: store)
        #expect(try await store.hmacKey(userID: 246) == nil)
        for key in ["first", "second"] {
            #expect(try await store.setHMACKey(key, userID: 246, by: Self.requester, now: Fixtures.start))
            #expect(try await store.hmacKey(userID: 246) == Array(key.utf8))
        }
        #expect(try await !store.setHMACKey("third", userID: 9, by: Self.requester, now: Fixtures.start))
        let sealed = try await store.engine.read { db in
            try db.first("SELECT hmac_sealed FROM users WHERE id = 246") { $0.blob(0) }
        }
        #expect(try #require(sealed).firstRange(of: Array("second".utf8)) == nil)
        _ = try await store.engine.write(.intake) { db in
            try db.run(
                """
                UPDATE users SET hmac_sealed = (SELECT hmac_sealed FROM users WHERE id = 246),
                    hmac_key_id = (SELECT hmac_key_id FROM users WHERE id = 246)
                WHERE id = 247
                """)
        }
        await #expect(throws: SealingKey.Fault.damaged) { try await store.hmacKey(userID: 247) }
        let audit = try await store.listAudit(CursorPage()).rows.filter { $0.action == "user.hmac-key" }
        #expect(audit.map(\.parameters) == ["", ""])
    }

    @Test("the first token key is made once; a rotation keeps two", arguments: TestEngine.allCases)
    func tokenKeys(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        var generator = SystemRandomNumberGenerator()
        let keys = (0..<4).map { _ in TokenKey(using: &generator) }
        #expect(try await store.tokenKeys().isEmpty)
        try await store.ensureTokenKey(keys[0], now: Fixtures.start)
        try await store.ensureTokenKey(keys[1], now: Fixtures.start)
        #expect(try await store.tokenKeys() == [keys[0]])
        for key in keys[2...] { try await store.rotateTokenKey(key, by: Self.requester, now: Fixtures.start) }
        #expect(try await store.tokenKeys() == [keys[3], keys[2]])
        #expect(try await store.number("SELECT count(*) FROM token_keys") == 2, "older ones are destroyed")
        let audit = try await store.listAudit(CursorPage()).rows.filter { $0.action == "token-key.rotate" }
        #expect(audit.map(\.target) == ["token key \(keys[3].id)", "token key \(keys[2].id)"])
    }

    @Test("a mirror is found by branch and number, for those with a policy on it", arguments: TestEngine.allCases)
    func mirrors(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let merchant = NewMerchant(
            id: 42, accountID: Fixtures.accountID, name: "Mirror", branch: "0001", number: "123456",
            signingSecret: try Fixtures.signingSecret)
        _ = try await store.createMerchant(merchant, actor: "test", now: Fixtures.start)
        func find(_ branch: String, _ number: String, _ policies: User.Policies, account: Int64 = 1) async throws
            -> Int64?
        {
            try await store.mirror(
                branch: branch, number: number, for: User(id: 1, accountID: account, policies: policies))?.id
        }
        #expect(try await find("0001", "123456", .all) == 42)
        #expect(try await find("0001", "123456", .only([42])) == 42)
        #expect(try await find("0001", "123456", .only([303])) == nil)
        #expect(try await find("0001", "123456", .all, account: 2) == nil)
        #expect(try await find("0002", "123456", .all) == nil)
        #expect(try await find("0001", "12345", .all) == nil)
    }
}
