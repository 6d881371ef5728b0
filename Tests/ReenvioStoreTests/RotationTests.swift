import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Rotation of secrets with an overlap: `docs/contract.md` 13.12.
struct RotationTests {
    private static let id = Fixtures.merchantID
    private static let start = Fixtures.start

    private static func rotate(
        _ store: Store, at now: Timestamp, overlap: Duration = .seconds(3_600), compat: Bool = false
    ) async throws -> SigningSecret {
        var generator = SystemRandomNumberGenerator()
        let secret = SigningSecret(using: &generator)
        let rotation = SecretRotation(
            merchantID: id, secret: secret, overlap: overlap, replacesCompatKey: compat)
        let end = try await store.rotateSecret(
            rotation, accountID: Fixtures.accountID, by: Requester(actor: "cli:test"), now: now)
        #expect(end == now + overlap)
        return secret
    }

    private static func secrets(_ store: Store, _ now: Timestamp) async throws -> MerchantSecrets {
        try #require(try await store.secrets(merchantIDs: [id], now: now)[id])
    }

    @Test(
        "both sign during the overlap, newest first, and the old one no more after it", arguments: TestEngine.allCases)
    func overlap(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let old = try Fixtures.signingSecret
        let new = try await Self.rotate(store, at: Self.start)
        #expect(try await Self.secrets(store, Self.start).signing == [new, old])
        #expect(try await Self.secrets(store, Self.start + .seconds(3_599)).signing == [new, old])
        let after = try await Self.secrets(store, Self.start + .seconds(3_600))
        #expect(after.signing == [new])
        #expect(after.compatKey == old.text, "the compat key stays unless it was asked for")
    }

    @Test("a compat key that is replaced is the old one until the overlap has ended", arguments: TestEngine.allCases)
    func compatKey(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let old = try Fixtures.signingSecret
        let new = try await Self.rotate(store, at: Self.start, compat: true)
        #expect(try await Self.secrets(store, Self.start + .seconds(3_599)).compatKey == old.text)
        #expect(try await Self.secrets(store, Self.start + .seconds(3_600)).compatKey == new.text)
    }

    @Test("no overlap ends the old one at once; a second rotation never prolongs it", arguments: TestEngine.allCases)
    func ends(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let second = try await Self.rotate(store, at: Self.start, overlap: .seconds(60))
        let third = try await Self.rotate(store, at: Self.start + .seconds(30), overlap: .seconds(3_600))
        let old = try Fixtures.signingSecret
        #expect(try await Self.secrets(store, Self.start + .seconds(59)).signing == [third, second, old])
        #expect(try await Self.secrets(store, Self.start + .seconds(60)).signing == [third, second])
        let fourth = try await Self.rotate(store, at: Self.start + .seconds(70), overlap: .zero)
        #expect(try await Self.secrets(store, Self.start + .seconds(70)).signing == [fourth])
    }

    @Test("however often it is rotated, a webhook carries few signatures", arguments: TestEngine.allCases)
    func bound(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        var newest: [SigningSecret] = []
        for number in 0..<10 {
            newest.insert(try await Self.rotate(store, at: Self.start + .seconds(number)), at: 0)
        }
        let signing = try await Self.secrets(store, Self.start + .seconds(10)).signing
        #expect(signing == Array(newest.prefix(Int(Store.signingSecretsMax))))
    }

    @Test("a foreign merchant is not rotated, and the audit names no secret", arguments: TestEngine.allCases)
    func foreign(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        var generator = SystemRandomNumberGenerator()
        let rotation = SecretRotation(
            merchantID: Self.id, secret: SigningSecret(using: &generator), overlap: .zero, replacesCompatKey: false)
        let requester = Requester(actor: "key:x")
        #expect(try await store.rotateSecret(rotation, accountID: 77, by: requester, now: Self.start) == nil)
        #expect(try await Self.secrets(store, Self.start).signing == [try Fixtures.signingSecret])
        let secret = try await Self.rotate(store, at: Self.start, compat: true)
        let row = try #require(try await store.listAudit(CursorPage()).rows.first)
        #expect(row.action == "secret.rotate")
        #expect(row.parameters == "signing secret and compat key, overlap until 2026-03-24T09:00:00Z")
        #expect(!"\(row)".contains(secret.text))
    }
}
