import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Requests in forms that HTTP allows or forbids: HEAD, spellings of paths, encodings, `/` (`docs/contract.md` 10).
struct RequestFormTests {
    private static let payouts = "/v2/payout/payments"
    private static let jobs = "/v2/payout/notifications/resend"

    private static func fields(_ reply: APIFixture.Reply) -> [String: String] {
        var fields: [String: String] = [:]
        for field in reply.headers where field.name.canonicalName != "x-request-id" {
            fields[field.name.canonicalName] = field.value
        }
        return fields
    }

    @Test("HEAD is answered as GET without the body, on every route of the table")
    func head() async throws {
        try await APIFixture.run { api async throws in
            let token = try await api.token(of: try await api.user().credentials)
            let ids = try await api.store.createPayouts(1)
            try await api.store.report(.paid, ids, at: api.clock.wall)
            let window = #"{"merchant_id":303,"start_time":"2026-03-24 07:00:00","end_time":"2026-03-24 10:00:00"}"#
            let dispatched = try await api.call(.post, Self.jobs, window)
            let jobID = try #require(dispatched.body.split(separator: "\"").dropFirst(3).first.map(String.init))
            var routes = api.table.endpoints.filter { $0.method == .get }.map { ($0.path, $0.access) }
            routes.append((Self.jobs + "/{job_id}/items?format=csv", .operatorKey(.payoutsRead)))
            routes += ["/", "/nowhere", "/dashboard", "/dashboard/payouts", "/dashboard/assets/style.css"].map {
                ($0, .open)
            }
            for (path, access) in routes {
                let path = path.replacing("{id}", with: "\(ids[0])").replacing("{job_id}", with: jobID)
                let credential: APIFixture.Credential = access == .token ? token : .operatorKey
                let get = try await api.call(.get, path, as: credential, contentType: nil)
                let head = try await api.call(.head, path, as: credential, contentType: nil)
                #expect(head.status == get.status, "\(path)")
                #expect(head.body == "", "\(path)")
                if path != "/metrics" {
                    // A sign-in page has a token of its own each time.
                    var (own, other) = (Self.fields(head), Self.fields(get))
                    (own["set-cookie"], other["set-cookie"]) = (nil, nil)
                    #expect(own == other, "\(path)")
                }
            }
        }
    }

    @Test("HEAD on a path without GET is 405 without a body; it takes from the bucket of GET")
    func headIsCounted() async throws {
        let limits = try #require(RateLimits("read=2/min"))
        try await APIFixture.run(limits: limits) { api async throws in
            let wrong = try await api.call(.head, "/v2/payout/transitions", as: .none)
            #expect(wrong.status == 405)
            #expect(wrong.header("Allow") == "POST")
            #expect(wrong.body == "")
            #expect(try await api.call(.head, Self.payouts).status == 200)
            #expect(try await api.call(.get, Self.payouts).status == 200)
            let limited = try await api.call(.head, Self.payouts)
            #expect(limited.status == 429)
            #expect(limited.body == "")
            #expect(try await api.call(.head, Self.payouts, as: .none).status == 401)
        }
    }

    @Test(
        "a path that others might read differently names nothing",
        arguments: [
            "//v2/payout/payments", "/v2//payout/payments", "/v2/payout//payments", "/v2/payout/payments/",
            "/v2/./payout/payments", "/v2/x/../payout/payments", "/v2/%2E/payout/payments", "/v2/payout%2Fpayments",
            "/v2/payout%2fpayments", "/v2/payout/payments/1/", "/v2/payout/payments/1%2F", "/healthz/", "//healthz",
            "/openapi.yaml/", "/docs//style.css", "/dashboard//payouts", "/v3//webhooks/resend", "/V2/payout/payments",
            "/v2/payout/payments;x=1", "/v2/payout/payments%00", "//", "/.", "/%2F",
        ])
    func strangePaths(_ path: String) async throws {
        try await APIFixture.run { api async throws in
            for method in [HTTPRequest.Method.get, .post] {
                let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
                let reply = try await api.call(
                    method, path, method == .post ? "{}" : nil, as: .operatorKey, headers: ["traceparent": trace])
                #expect(reply.status == 404)
                #expect(reply.header("traceparent")?.hasPrefix(trace.prefix(36)) == true)
                #expect(reply.body == #"{"message":"Not found."}"# || path.hasPrefix("/v2/payout/payments/1"))
                #expect(reply.header("x-request-id") != nil)
            }
        }
    }

    @Test("escaped unreserved characters mean themselves; two paths also end with a slash")
    func equalPaths() async throws {
        try await APIFixture.run { api async throws in
            for path in [Self.payouts, "/%762/payout/payment%73", Self.payouts + "?", Self.payouts + "?page=1"] {
                #expect(try await api.call(.get, path).status == 200, "\(path)")
            }
            for path in ["/v2/finance/auth-token", "/v2/finance/auth-token/"] {
                #expect(try await api.call(.post, path, "{}", as: .none).status == 422, "\(path)")
            }
            #expect(try await api.call(.get, "/dashboard/", as: .none).status == 200)
        }
    }

    @Test(
        "an encoded body is 415 with a text that says so, identity passes",
        arguments: [
            ("gzip", 415), ("GZIP", 415), ("x-gzip", 415), ("br", 415), ("zstd", 415), ("deflate", 415),
            ("identity, gzip", 415), ("nonsense", 415), ("identity", 422), ("Identity", 422), ("", 422),
        ])
    func contentEncoding(_ coding: String, _ status: Int) async throws {
        try await APIFixture.run { api async throws in
            for path in [Self.payouts, Self.jobs] {
                let reply = try await api.call(.post, path, "{}", headers: ["Content-Encoding": coding])
                #expect(reply.status == status)
                if status == 415 {
                    #expect(
                        reply.body
                            == #"{"message":"The request body must be sent as it is, without a Content-Encoding."}"#)
                    #expect(reply.header("Accept-Encoding") == "identity")
                }
            }
        }
    }

    @Test(
        "a browser at / goes to the pages, a program is told what this is",
        arguments: [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true), ("text/html", true),
            ("text/*", true), ("application/json;q=0.5, text/html", true), ("*/*", false), (nil, false),
            ("application/json", false), ("application/json, text/html", false), ("application/*", false),
            ("text/html;q=0", false), ("text/html;q=0.4, */*;q=0.5", false), ("", false),
        ])
    func root(_ accept: String?, _ isBrowser: Bool) async throws {
        try await APIFixture.run { api async throws in
            let headers = accept.map { ["Accept": $0] } ?? [:]
            for method in [HTTPRequest.Method.get, .head] {
                let reply = try await api.call(method, "/", as: .none, contentType: nil, headers: headers)
                #expect(reply.status == (isBrowser ? 303 : 200))
                #expect(reply.header("Location") == (isBrowser ? "/dashboard" : nil))
                #expect(reply.header("Vary") == "Accept")
                if method == .get, !isBrowser {
                    #expect(
                        reply.body == #"{"name":"Reenvio","version":"","docs":"https://api.example.com/docs","#
                            + #""openapi":"https://api.example.com/openapi.yaml"}"#)
                }
            }
        }
    }

    @Test(
        "a parameter that a list does not take is 422 on its name, beside what else is wrong",
        arguments: [
            (payouts, "status[]=3"), (payouts, "LIMIT=3"), (payouts, "limit=3"), (payouts, "status=3"),
            (jobs, "state=failed"), (jobs, "page=2"), (jobs + "/{job_id}/items", "Outcome=failed"),
            ("/v2/receivers", "health=broken"), ("/v2/audit", "actor=x"), ("/v2/audit", "merchant_id=303"),
            ("/v2/payout/payments/1/why", "from=x"),
            ("/v2/payout/payments/1/notifications", "state=waiting"), ("/v3/webhooks/resend", "status[]=FAILED"),
            ("/v3/accounts/webhooks", "type=CASHIN"), ("/v3/accounts/api/webhooks", "limit=3"),
        ])
    func unknownParameters(_ path: String, _ query: String) async throws {
        try await APIFixture.run { api async throws in
            let token = try await api.token(of: try await api.user().credentials)
            let ids = try await api.store.createPayouts(1)
            try await api.store.report(.paid, ids, at: api.clock.wall)
            let window = #"{"merchant_id":303,"start_time":"2026-03-24 07:00:00","end_time":"2026-03-24 10:00:00"}"#
            let dispatched = try await api.call(.post, Self.jobs, window)
            let jobID = try #require(dispatched.body.split(separator: "\"").dropFirst(3).first.map(String.init))
            let isV3 = path.hasPrefix("/v3")
            let reply = try await api.call(
                .get, path.replacing("{job_id}", with: jobID) + "?" + query, as: isV3 ? token : .operatorKey)
            let name = query.prefix { $0 != "=" }
            #expect(reply.status == 422)
            #expect(reply.body.hasPrefix(#"{"message":"Validation error\#(isV3 ? "" : ".")","errors":{"#))
            #expect(reply.body.contains(#""\#(name)":["The \#(name) parameter is not known."]"#))
            // Beside another fault, and also without a value.
            if path == Self.payouts {
                let both = try await api.call(.get, path + "?\(name)&per_page=0", as: .operatorKey)
                #expect(both.body.contains("is not known") && both.body.contains("per_page"))
            }
        }
    }

    @Test("an operator names the merchant where something is made, and may leave it out of lists")
    func operatorsMerchant() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.store.createPayouts(1)
            for path in [Self.payouts, Self.jobs, "/v2/receivers"] {
                #expect(try await api.call(.get, path, as: .operatorKey).status == 200, "\(path)")
            }
            for path in [Self.payouts, Self.jobs] {
                let reply = try await api.call(.post, path, "{}", as: .operatorKey)
                #expect(reply.status == 422)
                #expect(reply.body.contains(#""merchant_id":["The merchant_id field is required."]"#))
            }
        }
    }
}
