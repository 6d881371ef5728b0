import HTTPTypes
import ReenvioAPI
import ReenvioStore
import ReenvioTesting
import Testing

/// The checks every request passes, in their order, and the shapes of what they answer (`docs/contract.md` 4.4 and 10).
struct GatewayTests {
    private static let resend = "/v2/payout/notifications/resend"

    @Test("an unknown path is 404 and a wrong method 405 with Allow, before any credential is asked for")
    func pathAndMethod() async throws {
        try await APIFixture.run { api async throws in
            let unknown = try await api.call(.get, "/v2/nothing", as: .none)
            #expect(unknown.status == 404)
            #expect(unknown.body == #"{"message":"Not found."}"#)
            let wrong = try await api.call(.delete, "/v2/payout/payments", as: .none)
            #expect(wrong.status == 405)
            #expect(wrong.header("Allow") == "GET, HEAD, POST")
            #expect(wrong.body == #"{"message":"Method not allowed."}"#)
            let item = try await api.call(.put, "/v2/payout/payments/1", as: .none)
            #expect(item.header("Allow") == "GET, HEAD, PATCH")
            let post = try await api.call(.get, "/v2/payout/transitions", as: .none)
            #expect(post.header("Allow") == "POST")
        }
    }

    @Test(
        "a missing, malformed or unknown credential is 401 with one body",
        arguments: [
            nil, "", "Bearer", "Bearer ", "Basic abc", "Bearer rnv_1_2", "bearer x y",
            "Bearer rnv_000000000000_" + String(repeating: "0", count: 64),
        ])
    func credentials(_ header: String?) async throws {
        try await APIFixture.run { api async throws in
            let reply = try await api.call(.post, Self.resend, "{}", as: header.map { .text($0) } ?? .none)
            #expect(reply.status == 401)
            #expect(reply.body == #"{"message":"Unauthorized"}"#)
            #expect(reply.header("WWW-Authenticate") == "Bearer")
        }
    }

    @Test("a merchant's key on an operator's endpoint is 403 whether or not the object exists")
    func operatorOnly() async throws {
        try await APIFixture.run { api async throws in
            for path in ["/v2/payout/payments/1/transition", "/v2/payout/transitions"] {
                let reply = try await api.call(.post, path, "not json")
                #expect(reply.status == 403)
                #expect(
                    reply.body == #"{"message":"This key may not do that.","#
                        + #""errors":{"scope":["Only an operator key may do that."]}}"#)
            }
        }
    }

    @Test("an expired or revoked key is 401")
    func expiry() async throws {
        try await APIFixture.run { api async throws in
            #expect(try await api.call(.get, "/v2/payout/payments/1").status == 404)
            _ = try await api.store.engine.write(.intake) { db in
                try db.run("UPDATE api_keys SET revoked_at = 1")
            }
        }
        try await APIFixture.run { api async throws in
            _ = try await api.store.engine.write(.intake) { db in
                try db.run("UPDATE api_keys SET expires_at = $1", [.time(api.clock.wall)])
            }
            #expect(try await api.call(.get, "/v2/payout/payments/1").status == 401)
        }
        try await APIFixture.run { api async throws in
            _ = try await api.store.engine.write(.intake) { db in
                try db.run("UPDATE api_keys SET revoked_at = 1")
            }
            #expect(try await api.call(.get, "/v2/payout/payments/1").status == 401)
        }
    }

    @Test(
        "only JSON is taken, and an absent content type counts as JSON",
        arguments: [
            ("text/plain", 415), ("application/xml", 415), ("application/jsonx", 415), ("application/json", 422),
            ("application/json; charset=utf-8", 422), ("APPLICATION/JSON", 422), ("application/vnd.api+json", 422),
        ])
    func contentTypes(_ type: String, _ status: Int) async throws {
        try await APIFixture.run { api async throws in
            #expect(try await api.call(.post, Self.resend, "{}", contentType: type).status == status)
            #expect(try await api.call(.post, Self.resend, "{}", contentType: nil).status == 422)
        }
    }

    @Test("415 comes before 413, and 413 before 400")
    func bodyOrder() async throws {
        try await APIFixture.run { api async throws in
            let large = String(repeating: "x", count: (1 << 20) + 1)
            #expect(try await api.call(.post, Self.resend, large, contentType: "text/plain").status == 415)
            let reply = try await api.call(.post, Self.resend, large)
            #expect(reply.status == 413)
            #expect(reply.body == #"{"message":"The request body must not be larger than 1 MiB."}"#)
            let padding = String(repeating: " ", count: (1 << 20) - 2)
            #expect(try await api.call(.post, Self.resend, "{}" + padding).status == 422, "exactly 1 MiB passes")
        }
    }

    @Test(
        "what is no JSON object is 400, with the reason and the place",
        arguments: [
            ("", "The body is empty."), ("null", "The body must be a JSON object."),
            ("[]", "The body must be a JSON object."), ("1", "The body must be a JSON object."),
            ("{", "The JSON ends too early at line 1, column 2 (byte 2)."),
            (#"{"a":1,"a":2}"#, "The JSON repeats a key at line 1, column 8 (byte 8)."),
            (#"{"a":01}"#, "The JSON has an unexpected character at line 1, column 7 (byte 7)."),
            ("{}x", "The JSON has an unexpected character at line 1, column 3 (byte 3)."),
            (#"{"a":"\ud800"}"#, "The text has half of a surrogate pair at line 1, column 7 (byte 7)."),
            ("\u{FEFF}{}", "The body begins with a byte order mark; JSON is sent without one."),
        ])
    func malformed(_ body: String, _ reason: String) async throws {
        try await APIFixture.run { api async throws in
            let reply = try await api.call(.post, Self.resend, body)
            #expect(reply.status == 400)
            #expect(reply.body == #"{"message":"Malformed JSON body.","errors":{"body":["\#(reason)"]}}"#)
        }
    }

    @Test("invalid UTF-8 and depth 33 are 400, depth 32 is read")
    func strictness() async throws {
        try await APIFixture.run { api async throws in
            let invalid = Array(#"{"a":""#.utf8) + [0xC3, 0x28] + Array(#""}"#.utf8)
            #expect(try await api.call(.post, Self.resend, bytes: invalid).status == 400)
            func nested(_ depth: Int) -> String {
                String(repeating: #"{"a":"#, count: depth - 1) + "{}" + String(repeating: "}", count: depth - 1)
            }
            #expect(try await api.call(.post, Self.resend, nested(32)).status == 422)
            #expect(try await api.call(.post, Self.resend, nested(33)).status == 400)
        }
    }

    @Test("health needs no credential and says nothing but ok")
    func health() async throws {
        try await APIFixture.run { api async throws in
            for path in ["/healthz", "/readyz"] {
                let reply = try await api.call(.get, path, as: .none)
                #expect(reply.status == 200)
                #expect(reply.body == #"{"status":"ok"}"#)
            }
        }
    }

    @Test("a store that is gone is an error without detail; the process stays alive")
    func unavailable() async throws {
        try await APIFixture.run { api async throws in
            try api.store.close()
            let reply = try await api.call(.get, "/v2/payout/payments/1")
            #expect([500, 503].contains(reply.status))
            #expect(!reply.body.contains("sqlite"))
            #expect(try await api.call(.get, "/healthz", as: .none).status == 200)
        }
    }

    @Test("every answer carries a request id")
    func requestIDs() async throws {
        try await APIFixture.run { api async throws in
            let first = try await api.call(.get, "/healthz", as: .none).header("x-request-id")
            let second = try await api.call(.get, "/nothing", as: .none).header("x-request-id")
            #expect(first != nil)
            #expect(second != nil)
            #expect(first != second)
        }
    }
}
