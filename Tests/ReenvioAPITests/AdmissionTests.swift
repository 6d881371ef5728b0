import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Scopes, address lists and limits (`docs/contract.md` 4.4, 9 and 10).
struct AdmissionTests {
    private static let resend = "/v2/payout/notifications/resend"
    private static let window =
        #""merchant_id":303,"start_time":"2026-03-24 07:00:00","end_time":"2026-03-24 10:00:00""#
    private static let dryRun = "{\(window),\"dry_run\":true}"
    private static let dispatch = "{\(window)}"

    @Test("each endpoint asks for its scope")
    func scopes() async throws {
        try await APIFixture.run { api async throws in
            let reader = try await api.key([.payoutsRead])
            let writer = try await api.key([.payoutsWrite])
            #expect(try await api.call(.get, "/v2/payout/payments/1", as: reader).status == 404)
            #expect(try await api.call(.get, "/v2/payout/payments", as: reader).status == 200)
            #expect(try await api.call(.post, "/v2/payout/payments", "{}", as: reader).status == 403)
            #expect(try await api.call(.post, "/v2/payout/payments/1/cancel", as: reader).status == 403)
            #expect(try await api.call(.get, "/v2/payout/payments/1", as: writer).status == 403)
            #expect(try await api.call(.get, "\(Self.resend)/x", as: writer).status == 404, "any key of the account")
            #expect(try await api.call(.get, Self.resend, as: writer).status == 403)
            #expect(try await api.call(.post, "/v2/payout/payments", "{}", as: writer).status == 422)
            #expect(try await api.call(.post, Self.resend, Self.dryRun, as: writer).status == 403)
        }
    }

    @Test("a key that may dispatch jobs also counts, lists and follows them, and reads no payouts")
    func followingJobs() async throws {
        try await APIFixture.run { api async throws in
            let sending = try await api.key([.resendWrite])
            let dispatched = try await api.call(.post, Self.resend, Self.dispatch, as: sending)
            let jobID = try #require(dispatched.body.split(separator: "\"").dropFirst(3).first.map(String.init))
            let one = "/\(jobID)"
            for path in ["", one, one + "?include=outcome", one + "/items", one + "/items?format=csv"] {
                #expect(try await api.call(.get, Self.resend + path, as: sending).status == 200, "\(path)")
            }
            #expect(try await api.call(.post, Self.resend, Self.dryRun, as: sending).status == 200)
            #expect(try await api.call(.get, "/v2/payout/payments", as: sending).status == 403)
            let other = try await api.key([.receiversWrite])
            #expect(try await api.call(.get, "\(Self.resend)/\(jobID)", as: other).status == 200, "any key")
            #expect(try await api.call(.get, Self.resend, as: other).status == 403)
            #expect(try await api.call(.get, "\(Self.resend)/\(jobID)/items", as: other).status == 403)
            #expect(try await api.call(.get, "\(Self.resend)/\(jobID)", as: .otherKey).status == 403)
        }
    }

    @Test("a 403 names the scopes of which one is missing, and nothing where the address is foreign")
    func missingScopes() async throws {
        try await APIFixture.run { api async throws in
            let none = try await api.key([.secretsWrite])
            let wanted: [(HTTPRequest.Method, String, String?, String)] = [
                (.get, "/v2/payout/payments", nil, "payouts:read"),
                (.post, "/v2/payout/payments", "{}", "payouts:write"),
                (.get, Self.resend, nil, "payouts:read or resend:write"),
                (.post, Self.resend, Self.dryRun, "resend:dry-run or resend:write"),
                (.delete, "\(Self.resend)/x", nil, "resend:write"),
                (.post, "/v2/receivers/1/pause", nil, "receivers:write"),
            ]
            for (method, path, body, scopes) in wanted {
                let reply = try await api.call(method, path, body, as: none)
                #expect(reply.status == 403)
                #expect(
                    reply.body == #"{"message":"This key may not do that.","#
                        + #""errors":{"scope":["The key lacks the scope \#(scopes)."]}}"#)
            }
            let counting = try await api.key([.resendDryRun])
            let dispatch = try await api.call(.post, Self.resend, Self.dispatch, as: counting)
            #expect(dispatch.body.contains("The key lacks the scope resend:write."))
        }
    }

    @Test("a dry run needs a scope of its own or that of a dispatch, and counts as one only if it parses as one")
    func resendScopes() async throws {
        try await APIFixture.run { api async throws in
            let counting = try await api.key([.resendDryRun])
            let sending = try await api.key([.resendWrite])
            #expect(try await api.call(.post, Self.resend, Self.dryRun, as: counting).status == 200)
            #expect(try await api.call(.post, Self.resend, Self.dryRun, as: sending).status == 200)
            #expect(try await api.call(.post, Self.resend, Self.dispatch, as: counting).status == 403)
            #expect(try await api.call(.post, Self.resend, Self.dispatch, as: sending).status == 202)
            for body in [Self.dryRun + "x", #"{"dry_run":"true"}"#, #"{"dry_run":1}"#, "", "[true]"] {
                #expect(try await api.call(.post, Self.resend, body, as: counting).status == 403, "\(body)")
            }
            #expect(try await api.call(.post, Self.resend, Self.dryRun + "x", as: sending).status == 400)
        }
    }

    @Test("a key with an address list is refused from elsewhere")
    func addressLists() async throws {
        try await APIFixture.run { api async throws in
            let elsewhere = try await api.key(cidrs: ["203.0.113.0/24"])
            let reply = try await api.call(.get, "/v2/payout/payments", as: elsewhere)
            #expect(reply.status == 403)
            #expect(reply.body == #"{"message":"This key may not do that."}"#)
        }
    }

    @Test("the caller is the socket's peer, or what a trusted proxy says of it")
    func proxies() {
        let proxies = ["10.0.0.0/8", "::1"].compactMap { CIDR($0) }
        let resolver = ClientAddress(trustedProxies: proxies)
        func resolve(_ peer: String?, _ forwarded: String...) -> String? {
            resolver.resolve(peer: peer.flatMap { IPAddress($0) }, forwardedFor: forwarded)?.description
        }
        #expect(resolve("198.51.100.7", "1.2.3.4") == "198.51.100.7", "not a proxy: its header counts for nothing")
        #expect(resolve("10.0.0.1", "1.2.3.4") == "1.2.3.4")
        #expect(resolve("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2") == "1.2.3.4", "the last that is no proxy")
        #expect(resolve("10.0.0.1", "6.6.6.6", "1.2.3.4") == "1.2.3.4")
        #expect(resolve("10.0.0.1") == "10.0.0.1")
        for port in ["1.2.3.4:1234", " 1.2.3.4:80\t", "6.6.6.6:1, 1.2.3.4:65535, 10.0.0.2:9"] {
            #expect(resolve("10.0.0.1", port) == "1.2.3.4", "\(port)")
        }
        for bracketed in ["[2001:db9::1]", "[2001:db9::1]:443", "2001:db9::1"] {
            #expect(resolve("10.0.0.1", bracketed) == "2001:db9::1", "\(bracketed)")
        }
        let unreadable = [
            "unknown", "_hidden", "nonsense, 10.0.0.3", "1.2.3.4:", "1.2.3.4:port", "[1.2.3.4]", "[2001:db9::1", "[]",
            "[2001:db9::1]x", "1.2.3.4, ",
        ]
        for entry in unreadable { #expect(resolve("10.0.0.1", entry) == nil, "\(entry)") }
        #expect(resolve("::ffff:10.0.0.1", "::ffff:1.2.3.4") == "1.2.3.4")
        #expect(resolve("::1", "2001:db9::1") == "2001:db9::1")
        #expect(resolve(nil, "1.2.3.4") == nil)
    }

    @Test("reads and resends have buckets of their own; a dry run is a read; 409 and 422 count")
    func limits() async throws {
        let limits = try #require(RateLimits("resend=3/min,read=4/min"))
        try await APIFixture.run(limits: limits) { api async throws in
            _ = try await api.store.report(.paid, try await api.store.createPayouts(1), at: api.clock.wall)
            #expect(try await api.call(.post, Self.resend, Self.dispatch).status == 202)
            #expect(try await api.call(.post, Self.resend, Self.dispatch).status == 409)
            #expect(try await api.call(.post, Self.resend, "{}").status == 422)
            let limited = try await api.call(.post, Self.resend, Self.dispatch)
            #expect(limited.status == 429)
            #expect(limited.body == #"{"message":"Too many requests."}"#)
            #expect(limited.header("Retry-After") == "20")
            for _ in 0..<3 { #expect(try await api.call(.post, Self.resend, Self.dryRun).status == 200) }
            #expect(try await api.call(.get, "/v2/payout/payments").status == 200)
            #expect(try await api.call(.get, "/v2/payout/payments").status == 429)
            #expect(try await api.call(.post, Self.resend, Self.dryRun).status == 429)
            #expect(try await api.call(.get, "/v2/payout/payments", as: .otherKey).status == 200, "per credential")
            #expect(try await api.call(.post, "/v2/payout/payments", "{}").status == 422, "payouts are not limited")
            api.clock.advance(by: .seconds(20))
            #expect(try await api.call(.post, Self.resend, Self.dispatch).status == 409)
            #expect(try await api.call(.post, Self.resend, Self.dispatch).status == 429, "refilled evenly")
        }
    }

    @Test("what changes how things run has a bucket of its own, and payouts have none")
    func writes() async throws {
        let limits = try #require(RateLimits("write=3/min"))
        try await APIFixture.run(limits: limits) { api async throws in
            let key = try await api.key(Scope.allCases)
            let token = try await api.token(of: try await api.user().credentials)
            let writes = api.table.endpoints.filter { $0.limit == .write }
            let names = writes.map { "\($0.method.rawValue) \($0.path)" }
            #expect(
                Set(names) == [
                    "POST /v2/receivers/{id}/pause", "POST /v2/receivers/{id}/resume",
                    "POST /v2/merchants/{id}/webhook-secret/rotate", "PATCH /v2/payout/payments/{id}",
                    "POST /v2/merchants/{id}/notification-urls/move", "DELETE \(Self.resend)/{job_id}",
                    "DELETE /v2/payout/notifications/resend-batches/{batch_id}", "POST /v3/accounts/api/webhooks",
                    "PATCH /v3/accounts/api/webhooks/{webhook_id}", "DELETE /v3/accounts/api/webhooks/{webhook_id}",
                    "DELETE /v3/webhooks/resend/{id}",
                ])
            for (credential, access) in [(key, false), (token, true)] {
                var codes: [Int] = []
                for endpoint in writes where (endpoint.access == .token) == access {
                    if case .operatorKey = endpoint.access { continue }
                    let path = endpoint.path.split(separator: "/").map { $0.hasPrefix("{") ? "9" : String($0) }
                    let body = endpoint.takesBody ? "{}" : nil
                    let url = "/" + path.joined(separator: "/")
                    codes.append(try await api.call(endpoint.method, url, body, as: credential).status)
                }
                #expect(codes.prefix(3).allSatisfy { $0 != 429 } && codes.dropFirst(3).allSatisfy { $0 == 429 })
                #expect(codes.count > 3)
            }
            for _ in 0..<20 {
                #expect(try await api.call(.post, "/v2/payout/payments", "{}", as: key).status == 422)
                #expect(try await api.call(.post, "/v2/payout/payments/9/cancel", as: key).status == 404)
            }
            let visitor = Visitor(api)
            try await visitor.signIn(as: key)
            #expect(try await visitor.post("/dashboard/receivers/9/pause").status == 429, "the same bucket")
        }
    }

    @Test("sign-ins that succeed have a bucket, and those of one credential and address are one row an hour")
    func signIns() async throws {
        let limits = try #require(RateLimits("sign-in=5/min"))
        try await APIFixture.run(limits: limits) { api async throws in
            let credentials = try await api.user().credentials
            var codes: [Int] = []
            for _ in 0..<7 { codes.append(try await api.signIn(credentials).status) }
            #expect(codes == [200, 200, 200, 200, 200, 429, 429])
            for _ in 0..<5 { try await Visitor(api).signIn(as: .ownKey) }
            let late = Visitor(api)
            try await late.get("/dashboard")
            let refused = try await late.post("/dashboard/sign-in", [("key", api.keyText(.ownKey))])
            #expect(refused.status == 429 && refused.header("retry-after") == "12")
            func rows(_ action: String) async throws -> [AuditRow] {
                try await api.store.listAudit(CursorPage()).rows.filter { $0.action == action }
            }
            for action in ["user.sign-in", "dashboard.sign-in"] { #expect(try await rows(action).count == 1) }
            api.clock.advance(by: .seconds(3_600))
            #expect(try await api.signIn(credentials).status == 200)
            #expect(try await rows("user.sign-in").map(\.parameters) == ["4 more after the last such row", ""])
        }
    }

    @Test("429 comes before 415, 413 and 400")
    func limitOrder() async throws {
        let limits = try #require(RateLimits("resend=1/min"))
        try await APIFixture.run(limits: limits) { api async throws in
            #expect(try await api.call(.post, Self.resend, "x", contentType: "text/plain").status == 415)
            #expect(try await api.call(.post, Self.resend, "x", contentType: "text/plain").status == 429)
            #expect(try await api.call(.post, Self.resend, "x").status == 429)
        }
    }
}
