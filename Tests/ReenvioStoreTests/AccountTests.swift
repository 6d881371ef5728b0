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
