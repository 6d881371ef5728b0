import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Keys that end, merchants that close, and keys of repeated requests: `docs/contract.md` 9, 10 and 13.8.
struct AccountTests {
    private static let requester = Requester(actor: "cli:test")

    private static func key(_ store: Store, _ name: String) async throws -> APIKeyText {
        var generator = SystemRandomNumberGenerator()
        let text = APIKeyText(using: &generator)
        let key = APIKey(
            id: text.id, name: name, accountID: Fixtures.accountID, scopes: [.payoutsRead], cidrs: [],
            expiresAt: nil, revokedAt: nil, createdAt: Fixtures.start)
        try await store.createKey(key, text: text, actor: "test", now: Fixtures.start)
        return text
    }

    @Test("a revoked key is refused; revoking it again keeps the first time", arguments: TestEngine.allCases)
    func revoking(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let text = try await Self.key(store, "first")
        _ = try await Self.key(store, "second")
        let revoked = try await store.revokeKey(id: text.id, by: Self.requester, now: Fixtures.start)
        #expect(revoked?.revokedAt == Fixtures.start)
        let again = try await store.revokeKey(id: text.id, by: Self.requester, now: Fixtures.start + .seconds(5))
        #expect(again?.revokedAt == Fixtures.start)
        #expect(try await store.revokeKey(id: "unknown", by: Self.requester, now: Fixtures.start) == nil)
        #expect(try await store.apiKey(text)?.isUsable(now: Fixtures.start) == false)
        let listed = try await store.listKeys().filter { ["first", "second"].contains($0.name) }
        #expect(Set(listed.map(\.name)) == ["first", "second"])
        #expect(listed.filter { $0.isUsable(now: Fixtures.start) }.map(\.name) == ["second"])
        let audit = try await store.listAudit(CursorPage()).rows.filter { $0.action == "key.revoke" }
        #expect(audit.map(\.target) == ["key \(text.id)"])
    }

    @Test("a merchant is closed once", arguments: TestEngine.allCases)
    func closing(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let id = Fixtures.merchantID
        #expect(
            try await store.closeMerchant(id: id, by: Self.requester, now: Fixtures.start)?.closedAt == Fixtures.start)
        let again = try await store.closeMerchant(id: id, by: Self.requester, now: Fixtures.start + .seconds(5))
        #expect(again?.closedAt == Fixtures.start)
        #expect(try await store.closeMerchant(id: 999, by: Self.requester, now: Fixtures.start) == nil)
        let audit = try await store.listAudit(CursorPage()).rows.filter { $0.action == "merchant.close" }
        #expect(audit.map(\.target) == ["merchant \(id)"])
    }

    @Test("keys that repeat within one commit: the second sees the first", arguments: TestEngine.allCases)
    func claimsInOneCommit(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        func new(_ invoice: String, _ key: String?, body: [UInt8]) throws -> IntakeBatch.NewPayout {
            let claim = try key.map {
                try IdempotencyClaim(accountID: 1, method: "POST", path: "/p", key: $0, body: body)
            }
            return IntakeBatch.NewPayout(
                draft: try Fixtures.draft(invoice: invoice, url: nil), merchantID: Fixtures.merchantID, claim: claim)
        }
        let creates = [
            try new("a", "k1", body: [1]), try new("a", "k1", body: [1]), try new("b", "k1", body: [2]),
            try new("c", nil, body: [3]), try new("c", "k2", body: [4]), try new("d", "k2", body: [5]),
        ]
        let now = Fixtures.start
        let result = try await store.commitIntake(IntakeBatch(creates: creates), now: now, due: now, nonces: [])
        guard case .payout(let first) = result.creates[0] else {
            Issue.record("the first was not created")
            return
        }
        #expect(result.creates[1] == .replayed(id: first))
        #expect(result.creates[2] == .keyReused)
        guard case .payout = result.creates[3] else {
            Issue.record("without a key it is not created")
            return
        }
        #expect(result.creates[4] == .invoiceTaken)
        guard case .payout = result.creates[5] else {
            Issue.record("a refused request keeps its key to itself")
            return
        }
        #expect(try await store.number("SELECT count(*) FROM payouts") == 3)
        #expect(try await store.number("SELECT count(*) FROM idempotency_keys WHERE object_id = 0") == 0)
    }
}

/// What a key may do is kept whole, and what older stores meant is kept, too (`docs/contract.md` 9).
struct KeyRightsTests {
    private static func key(
        _ text: APIKeyText, _ account: Int64?, _ change: (inout APIKey) -> Void = { _ in }
    ) -> APIKey {
        var key = APIKey(
            id: text.id, name: "k", accountID: account, scopes: [.payoutsRead], cidrs: [], expiresAt: nil,
            revokedAt: nil, createdAt: Fixtures.start)
        change(&key)
        return key
    }

    @Test("scopes and merchants are read back as they were given", arguments: TestEngine.allCases)
    func readBack(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        var generator = SystemRandomNumberGenerator()
        let changes: [(Int64?, @Sendable (inout APIKey) -> Void)] = [
            (nil, { $0.hasEveryScope = true }), (nil, { $0.scopes = [.metricsRead, .auditRead] }),
            (Fixtures.accountID, { $0.merchants = [Fixtures.merchantID] }), (Fixtures.accountID, { _ in }),
        ]
        for (account, change) in changes {
            let text = APIKeyText(using: &generator)
            let key = Self.key(text, account, change)
            try await store.createKey(key, text: text, actor: "test", now: Fixtures.start)
            let found = try #require(try await store.apiKey(text))
            #expect(found.hasEveryScope == key.hasEveryScope && found.merchants == key.merchants)
            for scope in Scope.allCases { #expect(found.may(scope) == key.may(scope)) }
        }
        let text = APIKeyText(using: &generator)
        let foreign = Self.key(text, Fixtures.accountID) { $0.merchants = [Fixtures.merchantID, 999] }
        await #expect(throws: CreationRefused.self) {
            try await store.createKey(foreign, text: text, actor: "test", now: Fixtures.start)
        }
        #expect(try await store.apiKey(text) == nil)
    }

    @Test("keys of an older store keep what they meant", arguments: TestEngine.allCases)
    func migration(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        var generator = SystemRandomNumberGenerator()
        let former: [Scope] = [.payoutsRead, .payoutsWrite, .resendDryRun, .resendWrite, .receiversWrite]
        let texts = (0..<3).map { _ in APIKeyText(using: &generator) }
        let (operators, usual, narrow) = (texts[0], texts[1], texts[2])
        for (text, account, scopes) in [
            (operators, nil, former), (usual, Fixtures.accountID, former), (narrow, Fixtures.accountID, [.payoutsRead]),
        ] as [(APIKeyText, Int64?, [Scope])] {
            let key = Self.key(text, account) { $0.scopes = scopes }
            try await store.createKey(key, text: text, actor: "test", now: Fixtures.start)
        }
        let version = try #require(Schema.migrations.first { $0.name == "keys of operators have scopes" }).version
        try await store.engine.write(.intake) { db in
            try db.run("ALTER TABLE api_keys DROP COLUMN merchants")
            try db.run("DELETE FROM migrations WHERE version >= $1", [.int(version)])
            return ()
        }
        let (again, applied) = try await Store.open(
            engine: store.engine, sealing: try Fixtures.sealingKey, now: Fixtures.start)
        #expect(applied == [version])
        let keys = [try await again.apiKey(operators), try await again.apiKey(usual), try await again.apiKey(narrow)]
        #expect(keys[0]?.hasEveryScope == true)
        #expect(keys[1]?.scopes == former + [.peopleRead, .auditRead])
        #expect(keys[2]?.scopes == [.payoutsRead])
    }
}
