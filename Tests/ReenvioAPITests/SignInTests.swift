import HTTPTypes
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The token endpoint (`docs/contract.md` 9).
struct SignInTests {
    private static let path = "/v2/finance/auth-token"

    @Test("a pair is exchanged for a token with exactly the documented claims", arguments: [path, path + "/"])
    func claims(_ path: String) async throws {
        try await APIFixture.run { api async throws in
            let reply = try await api.signIn(try await api.user(id: 246).credentials, path: path)
            #expect(reply.status == 200)
            #expect(reply.body.hasPrefix(#"{"worked":true,"access_token":"ey"#))
            #expect(reply.header("Cache-Control") == "no-store")
            let (header, claims) = try AccessToken(answer: reply.body).parts()
            #expect(header["alg"] == .string("HS256"))
            #expect(header["typ"] == .string("JWT"))
            #expect(header["kid"] == .string(try #require(try await api.store.tokenKeys().first).id))
            let now = Fixtures.start.seconds
            #expect(Set(claims.members.map(\.key)) == ["token_type", "exp", "iat", "jti", "user_id"])
            #expect(claims["token_type"] == .string("access"))
            #expect(Self.integer(claims["iat"]) == now)
            #expect(Self.integer(claims["exp"]) == now + 3_600)
            #expect(Self.integer(claims["user_id"]) == 246)
            guard case .string(let jti)? = claims["jti"] else {
                Issue.record("jti is no text")
                return
            }
            #expect(Hex.bytes(jti)?.count == 16)
        }
    }

    private static func integer(_ value: JSONValue?) -> Int64? {
        if case .number(let number)? = value { number.integer } else { nil }
    }

    @Test("each token has an id of its own, and all of them one key")
    func tokens() async throws {
        try await APIFixture.run { api async throws in
            let credentials = try await api.user().credentials
            let first = try AccessToken(answer: try await api.signIn(credentials).body).parts()
            let second = try AccessToken(answer: try await api.signIn(credentials).body).parts()
            #expect(first.claims["jti"] != second.claims["jti"])
            #expect(first.header["kid"] == second.header["kid"])
            #expect(try await api.store.number("SELECT count(*) FROM token_keys") == 1)
        }
    }

    @Test("a wrong id or secret is one and the same 401")
    func wrongPair() async throws {
        try await APIFixture.run { api async throws in
            let credentials = try await api.user().credentials
            let pairs = [
                ("unknown", credentials.secret), (credentials.clientID, "wrong"), (credentials.clientID, "x"),
                (credentials.secret, credentials.clientID),
            ]
            for (id, secret) in pairs {
                let reply = try await api.call(
                    .post, Self.path, #"{"client_id":"\#(id)","client_secret":"\#(secret)"}"#, as: .none)
                #expect(reply.status == 401)
                #expect(reply.body == #"{"message":"Unauthorized"}"#)
                #expect(reply.header("WWW-Authenticate") == "Bearer")
            }
            #expect(try await api.store.number("SELECT count(*) FROM audit WHERE action = 'user.sign-in'") == 0)
        }
    }

    @Test("guessing pairs is throttled like guessing keys; the right pair passes")
    func guessing() async throws {
        try await APIFixture.run { api async throws in
            let credentials = try await api.user().credentials
            for _ in 0..<21 {
                let reply = try await api.call(
                    .post, Self.path, #"{"client_id":"a","client_secret":"b"}"#, as: .none)
                #expect(reply.status == 401)
            }
            let refused = try await api.call(.post, Self.path, #"{"client_id":"a","client_secret":"b"}"#, as: .none)
            #expect(refused.status == 429)
            #expect(refused.header("Retry-After") != nil)
            #expect(try await api.call(.get, "/v2/payout/payments").status == 200)
            #expect(try await api.signIn(credentials).status == 200)
            api.clock.advance(by: .seconds(61))
            let again = try await api.call(.post, Self.path, #"{"client_id":"a","client_secret":"b"}"#, as: .none)
            #expect(again.status == 401)
        }
    }

    @Test(
        "what is missing or no text is 422 with the words of v2",
        arguments: [
            (
                "{}",
                #"{"client_id":["The client_id field is required."],"#
                    + #""client_secret":["The client_secret field is required."]}"#
            ),
            (#"{"client_id":"a"}"#, #"{"client_secret":["The client_secret field is required."]}"#),
            (#"{"client_id":"a","client_secret":""}"#, #"{"client_secret":["The client_secret field is required."]}"#),
            (#"{"client_id":1,"client_secret":"b"}"#, #"{"client_id":["The client_id field must be a string."]}"#),
        ])
    func invalid(_ body: String, _ errors: String) async throws {
        try await APIFixture.run { api async throws in
            let reply = try await api.call(.post, Self.path, body, as: .none)
            #expect(reply.status == 422)
            #expect(reply.body == #"{"message":"Validation error.","errors":\#(errors)}"#)
        }
    }

    @Test("a sign-in is an audit row of the user's")
    func audit() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.token(of: try await api.user(id: 246).credentials)
            let row = try #require(try await api.store.listAudit(CursorPage()).rows.first)
            #expect(row.action == "user.sign-in")
            #expect(row.target == "user 246")
            #expect(row.requester.actor == "user:246")
            #expect(row.requester.requestID != nil)
            #expect(row.accountID == Fixtures.accountID)
        }
    }
}
