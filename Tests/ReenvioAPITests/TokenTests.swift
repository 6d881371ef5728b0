import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Who may call v3: access tokens, and nothing else (`docs/contract.md` 9 and 10).
struct TokenTests {
    /// Answers who called, or 422 for a body with a member `fault`.
    private static let probe = Endpoint(.post, "/v3/probe", .token, takesBody: true, limit: .resend) { call in
        let user = try call.requireUser()
        if call.body["fault"] != nil { throw Faults("fault", "The fault field is a fault.") }
        return .json { writer in
            writer.member("user_id", user.id)
            writer.member("account_id", user.accountID)
            writer.member("actor", call.requester.actor)
        }
    }

    private static let operatorProbe = Endpoint(
        .post, "/v3/cashin/probe", .operatorKey(.payoutsReport), takesBody: true
    ) { call in
        throw Faults("fault", "The fault field is a fault.")
    }

    private static let plain = #"{"message":"Unauthorized"}"#
    private static let notValid = #"{"message":"Unauthorized","code":"token_not_valid"}"#

    private static func run(
        limits: RateLimits = .off, _ body: @Sendable @escaping (APIFixture, ClientCredentials) async throws -> Void
    ) async throws {
        try await APIFixture.run(limits: limits, probes: [probe, operatorProbe]) { api async throws in
            try await body(api, try await api.user(id: 246).credentials)
        }
    }

    @Test("a token of the endpoint names its user, in an account, as the actor")
    func valid() async throws {
        try await Self.run { api, credentials in
            let reply = try await api.call(.post, "/v3/probe", "{}", as: try await api.token(of: credentials))
            #expect(reply.status == 200)
            #expect(reply.body == #"{"user_id":246,"account_id":1,"actor":"user:246"}"#)
        }
    }

    @Test("without a credential it is a plain 401; with one that is no valid token the code says so")
    func missing() async throws {
        try await Self.run { api, _ in
            let none = try await api.call(.post, "/v3/probe", "{}", as: .none)
            #expect(none.status == 401)
            #expect(none.body == Self.plain)
            #expect(none.header("WWW-Authenticate") == "Bearer")
            for credential in ["", "Bearer", "Bearer ", "Basic abc"] {
                #expect(try await api.call(.post, "/v3/probe", "{}", as: .text(credential)).body == Self.plain)
            }
            for credential in [
                "Bearer x", "bearer a.b.c", "Bearer ..", "Bearer \(String(repeating: "a", count: 3_000))",
            ] {
                let reply = try await api.call(.post, "/v3/probe", "{}", as: .text(credential))
                #expect(reply.status == 401)
                #expect(reply.body == Self.notValid)
                #expect(reply.header("WWW-Authenticate") == "Bearer")
            }
        }
    }

    @Test("one kind of credential per dialect: a key on v3 and a token on v2 are 401")
    func dialects() async throws {
        try await Self.run { api, credentials in
            let token = try await api.token(of: credentials)
            for key in [APIFixture.Credential.ownKey, .operatorKey] {
                let reply = try await api.call(.post, "/v3/probe", "{}", as: key)
                #expect(reply.status == 401)
                #expect(reply.body == Self.notValid)
            }
            let reply = try await api.call(.get, "/v2/payout/payments", as: token)
            #expect(reply.status == 401)
            #expect(reply.body == Self.plain)
        }
    }

    @Test("cash-in takes an operator key: another key is 403, a token 401")
    func cashIn() async throws {
        try await Self.run { api, credentials in
            let token = try await api.token(of: credentials)
            #expect(try await api.call(.post, "/v3/cashin/probe", "{}", as: token).status == 401)
            #expect(try await api.call(.post, "/v3/cashin/probe", "{}", as: .ownKey).status == 403)
            let reply = try await api.call(.post, "/v3/cashin/probe", "{}", as: .operatorKey)
            #expect(reply.status == 422)
            #expect(reply.body.hasPrefix(#"{"message":"Validation error.","#))
        }
    }

    @Test("a 422 of v3 has no full stop")
    func validationMessage() async throws {
        try await Self.run { api, credentials in
            let reply = try await api.call(
                .post, "/v3/probe", #"{"fault":1}"#, as: try await api.token(of: credentials))
            #expect(reply.status == 422)
            #expect(
                reply.body == #"{"message":"Validation error","errors":{"fault":["The fault field is a fault."]}}"#)
        }
    }

    @Test("claims and headers that are not exactly right are 401, whoever signed them")
    func forged() async throws {
        try await Self.run { api, credentials in
            _ = try await api.token(of: credentials)
            let key = try #require(try await api.store.tokenKeys().first)
            let now = Fixtures.start
            #expect(try await Self.status(api, AccessToken(by: key)) == 200, "the forger knows how")
            let kid = #""kid":"\#(key.id)""#
            let forged: [(String, AccessToken)] = [
                ("wrong type", AccessToken(by: key, type: "refresh")),
                ("expired", AccessToken(by: key, expiry: now.seconds - 30)),
                ("unknown user", AccessToken(userID: "247", by: key)),
                ("text as user", AccessToken(userID: #""246""#, by: key)),
                ("fraction as user", AccessToken(userID: "246.5", by: key)),
                ("no user", AccessToken(userID: "null", by: key)),
                ("no alg", AccessToken(by: key, header: "{\(kid)}")),
                ("alg none", AccessToken(by: key, header: #"{"alg":"none",\#(kid)}"#)),
                ("alg in lower case", AccessToken(by: key, header: #"{"alg":"hs256",\#(kid)}"#)),
                ("another alg", AccessToken(by: key, header: #"{"alg":"HS512",\#(kid)}"#)),
                ("RS256, signed with the key", AccessToken(by: key, header: #"{"alg":"RS256",\#(kid)}"#)),
                ("no kid", AccessToken(by: key, header: #"{"alg":"HS256"}"#)),
                ("unknown kid", AccessToken(by: key, header: #"{"alg":"HS256","kid":"0011223344556677"}"#)),
                ("critical extension", AccessToken(by: key, header: #"{"alg":"HS256",\#(kid),"crit":["exp"]}"#)),
                ("alg twice", AccessToken(by: key, header: #"{"alg":"HS256","alg":"HS256",\#(kid)}"#)),
                ("another key", AccessToken(by: TokenKey(id: key.id, secret: Array(repeating: 7, count: 32)))),
            ]
            for (what, token) in forged {
                let reply = try await api.call(.post, "/v3/probe", "{}", as: .token(token))
                #expect(reply.status == 401, "\(what)")
                #expect(reply.body == Self.notValid, "\(what)")
            }
        }
    }

    @Test("a token is good for an hour and 30 seconds of leeway")
    func expiry() async throws {
        try await Self.run { api, credentials in
            let token = try await api.token(of: credentials)
            api.clock.advance(by: .seconds(3_629))
            #expect(try await api.call(.post, "/v3/probe", "{}", as: token).status == 200)
            api.clock.advance(by: .seconds(1))
            #expect(try await api.call(.post, "/v3/probe", "{}", as: token).status == 401)
        }
    }

    @Test("a token has one spelling: no byte of it can be changed, added or left out")
    func tampered() async throws {
        try await Self.run { api, credentials in
            guard case .token(let token) = try await api.token(of: credentials) else { return }
            let tokens = Tampering.variants(of: token.text)
            #expect(tokens.count > 10)
            for (number, text) in tokens.enumerated() {
                // Twenty failures a minute are let through.
                if number.isMultiple(of: 20) { api.clock.advance(by: .seconds(61)) }
                #expect(try await Self.status(api, AccessToken(text: text)) == 401, "\(text)")
            }
            #expect(try await Self.status(api, token) == 200)
        }
    }

    @Test("a deactivated user is refused at once, with a token and at the token endpoint")
    func deactivated() async throws {
        try await Self.run { api, credentials in
            let token = try await api.token(of: credentials)
            #expect(try await api.call(.post, "/v3/probe", "{}", as: token).status == 200)
            _ = try await api.store.deactivateUser(id: 246, by: Requester(actor: "test"), now: Fixtures.start)
            #expect(try await api.call(.post, "/v3/probe", "{}", as: token).body == Self.notValid)
            #expect(try await api.signIn(credentials).status == 401)
        }
    }

    @Test("after a rotation the old key's tokens stay valid, after the next one they are not")
    func rotation() async throws {
        try await Self.run { api, credentials in
            func rotate() async throws {
                var generator = SystemRandomNumberGenerator()
                try await api.store.rotateTokenKey(
                    TokenKey(using: &generator), by: Requester(actor: "test"), now: Fixtures.start)
            }
            let first = try await api.token(of: credentials)
            try await rotate()
            let key = try #require(try await api.store.tokenKeys().first)
            #expect(
                try await Self.status(api, AccessToken(by: key)) == 200, "a kid not seen before is looked up at once")
            #expect(try await api.call(.post, "/v3/probe", "{}", as: first).status == 200)
            guard case .token(let second) = try await api.token(of: credentials) else { return }
            #expect(try second.parts().header["kid"] == .string(key.id), "the newest signs")
            try await rotate()
            api.clock.advance(by: .seconds(1))
            #expect(try await api.call(.post, "/v3/probe", "{}", as: first).status == 401)
            #expect(try await Self.status(api, second) == 200)
        }
    }

    @Test("guessing tokens is stopped like guessing keys, and each user has a bucket of its own")
    func limits() async throws {
        try await Self.run(limits: RateLimits(perMinute: [.resend: 2])) { api, credentials in
            let token = try await api.token(of: credentials)
            let other = try await api.token(of: try await api.user().credentials)
            #expect(try await api.call(.post, "/v3/probe", "{}", as: token).status == 200)
            #expect(try await api.call(.post, "/v3/probe", #"{"fault":1}"#, as: token).status == 422)
            let refused = try await api.call(.post, "/v3/probe", "[", as: token)
            #expect(refused.status == 429)
            #expect(refused.header("Retry-After") == "30")
            #expect(try await api.call(.post, "/v3/probe", "[", as: other).status == 400)
            for _ in 0..<21 {
                #expect(try await api.call(.post, "/v3/probe", "{}", as: .text("Bearer a.b.c")).status == 401)
            }
            #expect(try await api.call(.post, "/v3/probe", "{}", as: .text("Bearer a.b.c")).status == 429)
            #expect(try await api.call(.post, "/v3/probe", "{}", as: other).status == 200)
        }
    }

    private static func status(_ api: APIFixture, _ token: AccessToken) async throws -> Int {
        try await api.call(.post, "/v3/probe", "{}", as: .token(token)).status
    }
}

private enum Tampering {
    /// A character changed, added and left out in each part; the last one of the signature in every way.
    static func variants(of token: String) -> [String] {
        let parts = token.split(separator: ".").map(String.init)
        var result = [
            token + "=", token + ".", "." + token, token + ".x", parts[0] + "." + parts[1] + ".", token + "A",
        ]
        for place in parts.indices {
            var changed = parts
            let last = changed[place].removeLast()
            result.append(changed.joined(separator: "."))
            for other in "AQgwBCDEFGHabcdefgh0123456789-_" where other != last {
                var text = changed
                text[place].append(other)
                result.append(text.joined(separator: "."))
            }
        }
        return result
    }
}
