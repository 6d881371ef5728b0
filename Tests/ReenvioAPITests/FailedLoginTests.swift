import HTTPTypes
import ReenvioAPI
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Credentials that fail, and what they do to others behind the same address (`docs/contract.md` 4.4).
struct FailedLoginTests {
    private static let path = "/v2/payout/payments"

    private static func codes(
        _ count: Int, _ api: APIFixture, _ path: String = path, as credential: APIFixture.Credential
    ) async throws -> [Int] {
        var codes: [Int] = []
        for _ in 0..<count { codes.append(try await api.call(.get, path, as: credential).status) }
        return codes
    }

    @Test("the 21st failure of one credential is still 401, the next 429; a credential that verifies passes")
    func oneCredential() async throws {
        try await APIFixture.run { api async throws in
            let wrong = APIFixture.Credential.text("Bearer no")
            #expect(try await Self.codes(23, api, as: wrong) == Array(repeating: 401, count: 21) + [429, 429])
            let refused = try await api.call(.get, Self.path, as: wrong)
            #expect(refused.header("Retry-After") == "61" || refused.header("Retry-After") == "60")
            #expect(try await api.call(.get, Self.path).status == 200)
            #expect(try await api.call(.get, Self.path, as: .text("Bearer other")).status == 401, "another one")
            #expect(try await api.signIn(try await api.user().credentials).status == 200)
            #expect(try await api.call(.get, "/healthz", as: .none).status == 200)
            api.clock.advance(by: .seconds(61))
            #expect(try await api.call(.get, Self.path, as: wrong).status == 401)
        }
    }

    @Test("an address that tries many credentials is throttled, except for those that verify")
    func manyCredentials() async throws {
        try await APIFixture.run { api async throws in
            for number in 0..<21 {
                #expect(try await api.call(.get, Self.path, as: .text("Bearer no\(number)")).status == 401)
            }
            let refused = try await api.call(.get, Self.path, as: .text("Bearer no more"))
            #expect(refused.status == 429 && refused.header("Retry-After") != nil)
            #expect(try await api.call(.get, Self.path).status == 200)
            #expect(try await api.signIn(try await api.user().credentials).status == 200)
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            #expect(try await visitor.get("/dashboard/payouts").status == 200)
        }
    }

    @Test("a revoked key that a program goes on polling with throttles itself only")
    func revokedKey() async throws {
        try await APIFixture.run { api async throws in
            let dead = try await api.key()
            let id = try #require(APIKeyText(api.keyText(dead))).id
            _ = try await api.store.revokeKey(id: id, by: Requester(actor: "test"), now: Fixtures.start)
            #expect(try await Self.codes(22, api, as: dead) == Array(repeating: 401, count: 21) + [429])
            for number in 0..<20 {
                #expect(try await api.call(.get, Self.path, as: .text("Bearer no\(number)")).status == 401)
            }
            #expect(try await api.call(.get, Self.path).status == 200)
        }
    }

    @Test("a token that was good until it expired, or its user was deactivated, is no guess")
    func expiredTokens() async throws {
        try await APIFixture.run { api async throws in
            let (id, credentials) = try await api.user(id: 246)
            let token = try await api.token(of: credentials)
            api.clock.advance(by: .seconds(3_631))
            let path = "/v3/webhooks/resend"
            #expect(try await Self.codes(50, api, path, as: token) == Array(repeating: 401, count: 50))
            let fresh = try await api.token(of: credentials)
            #expect(try await api.call(.get, path, as: fresh).status == 200)
            _ = try await api.store.deactivateUser(id: id, by: Requester(actor: "test"), now: api.clock.wall)
            #expect(try await Self.codes(50, api, path, as: fresh) == Array(repeating: 401, count: 50))
            #expect(try await api.call(.get, Self.path).status == 200)
            let forged = APIFixture.Credential.text("Bearer a.b.c")
            #expect(try await Self.codes(22, api, path, as: forged).last == 429)
        }
    }

    @Test("they are counted by reason, and have one line a minute")
    func reported() throws {
        let registry = MetricsRegistry()
        let logins = FailedLogins(FailedAuthenticationCounters(registry))
        let book = LogBook()
        let address = IPAddress("198.51.100.7")
        var now = Fixtures.start
        for count in 0..<130 {
            let refused = RefusedCredential(.unauthorized, .dead, shown: "rnv_x", keyID: "0123456789ab")
            let answer = logins.answer(refused, from: address, requestID: "r", now: now, logger: book.logger)
            #expect(answer.status == (count < 21 ? 401 : 429) || count >= 60)
            now = now + .seconds(1)
        }
        let lines = book.lines.map { "\($0.message) \($0.fields)" }
        #expect(lines.count == 3)
        #expect(lines.allSatisfy { $0.contains("198.51.100.7") && $0.contains("0123456789ab") })
        #expect(!lines.joined().contains("rnv_x"))
    }
}
