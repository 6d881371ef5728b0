import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Who gets in at the dashboard, for how long, and what a post must carry.
@Suite struct DashboardSessionTests {
    private static let pages = ["", "/payouts", "/resend", "/jobs", "/receivers", "/settings"]

    @Test func withoutASessionThereIsOnlyTheForm() async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            let home = try await visitor.get("/dashboard")
            #expect(home.status == 200 && home.body.components(of: "type=\"password\"") == 1)
            for page in Self.pages.dropFirst() + ["/payouts/1", "/jobs/\(String(repeating: "a", count: 32))"] {
                let reply = try await visitor.get("/dashboard" + page)
                #expect(reply.status == 401 && reply.body.contains("type=\"password\""))
            }
            let reply = try await visitor.post("/dashboard/receivers/1/pause")
            #expect(reply.status == 401)
        }
    }

    @Test func everyAnswerIsGuardedByItsHeaders() async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            var replies = [try await visitor.get("/dashboard"), try await visitor.get("/dashboard/payouts")]
            try await visitor.signIn(as: .ownKey)
            for page in Self.pages + ["/payouts/999"] { replies.append(try await visitor.get("/dashboard" + page)) }
            for reply in replies {
                let policy = reply.header("content-security-policy") ?? ""
                #expect(policy.hasPrefix("default-src 'none'; style-src 'self'; script-src 'self';"))
                #expect(!policy.contains("unsafe") && policy.contains("frame-ancestors 'none'"))
                #expect(reply.header("cache-control") == "no-store")
                #expect(reply.header("x-content-type-options") == "nosniff")
                #expect(reply.header("x-frame-options") == "DENY")
                #expect(reply.header("x-request-id") != nil)
                #expect(!reply.body.contains("style=\"") && !reply.body.contains("onclick"))
            }
        }
    }

    @Test func theCookieIsForTheServerOnly() async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            try await visitor.get("/dashboard")
            let reply = try await visitor.post("/dashboard/sign-in", [("key", api.keyText(.ownKey))])
            let cookie = try #require(reply.header("set-cookie"))
            for part in ["Path=/dashboard", "HttpOnly", "SameSite=Lax", "Secure"] { #expect(cookie.contains(part)) }
            #expect(!cookie.contains(api.keyText(.ownKey)))
            #expect(reply.status == 303)
        }
    }

    @Test(arguments: ["rnv_nothing", "", "rnv_000000000000_" + String(repeating: "0", count: 64)])
    func aWrongKeyIsRefused(key: String) async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            try await visitor.get("/dashboard")
            let reply = try await visitor.post("/dashboard/sign-in", [("key", key)])
            #expect(reply.status == 401 && reply.body.contains("not valid here"))
            #expect(visitor.sessionCookie == nil)
        }
    }

    @Test func guessingIsStopped() async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            try await visitor.get("/dashboard")
            for _ in 0..<21 { #expect(try await visitor.post("/dashboard/sign-in", [("key", "x")]).status == 401) }
            let reply = try await visitor.post("/dashboard/sign-in", [("key", "x")])
            #expect(reply.status == 429 && reply.header("retry-after") != nil)
            try await visitor.signIn(as: .ownKey)
        }
    }

    @Test func aPostNeedsTheTokenOfItsSession() async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            try await visitor.get("/dashboard")
            let key = [("key", api.keyText(.ownKey))]
            #expect(try await visitor.post("/dashboard/sign-in", key, token: "").status == 403)
            #expect(try await visitor.post("/dashboard/sign-in", key, token: "0").status == 403)
            try await visitor.signIn(as: .ownKey)
            let other = Visitor(api)
            try await other.signIn(as: .ownKey)
            for path in ["/dashboard/resend", "/dashboard/receivers/1/pause", "/dashboard/sign-out"] {
                for token in ["", "wrong", other.token] {
                    #expect(try await visitor.post(path, token: token).status == 403, "\(path)")
                }
            }
            #expect(try await visitor.get("/dashboard/payouts").status == 200)
            let json = try await visitor.post("/dashboard/resend", contentType: "application/json")
            #expect(json.status == 415)
        }
    }

    @Test func aSessionEndsByIdlenessByAgeAndBySigningOut() async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            api.clock.advance(by: .seconds(29 * 60))
            #expect(try await visitor.get("/dashboard/payouts").status == 200)
            api.clock.advance(by: .seconds(29 * 60))
            #expect(try await visitor.get("/dashboard/payouts").status == 200)
            api.clock.advance(by: .seconds(31 * 60))
            #expect(try await visitor.get("/dashboard/payouts").status == 401)
            try await visitor.signIn(as: .ownKey)
            for _ in 0..<36 {
                api.clock.advance(by: .seconds(20 * 60))
                try await visitor.get("/dashboard/payouts")
            }
            #expect(try await visitor.get("/dashboard/payouts").status == 401)
            try await visitor.signIn(as: .ownKey)
            let cookie = visitor.sessionCookie
            #expect(try await visitor.post("/dashboard/sign-out").status == 303)
            visitor.sessionCookie = cookie
            #expect(try await visitor.get("/dashboard/payouts").status == 401)
        }
    }

    @Test func aSessionIsWorthNoMoreThanItsKey() async throws {
        try await APIFixture.run { api in
            let reader = Visitor(api)
            try await reader.signIn(as: try await api.key([.payoutsRead]))
            let dry = try await reader.post("/dashboard/resend", [("action", "dry-run"), ("merchant", "303")])
            #expect(dry.status == 403)
            #expect(try await reader.post("/dashboard/receivers/1/pause").status == 403)
            #expect(try await reader.post("/dashboard/settings/secrets/303/rotate").status == 403)
            let writer = Visitor(api)
            try await writer.signIn(as: try await api.key([.payoutsWrite]))
            #expect(try await writer.get("/dashboard/payouts").status == 403)
            let key = try await api.key()
            let id = try #require(APIKeyText(api.keyText(key))).id
            let revoked = Visitor(api)
            try await revoked.signIn(as: key)
            _ = try await api.store.revokeKey(id: id, by: Requester(actor: "test"), now: Fixtures.start)
            #expect(try await revoked.get("/dashboard/payouts").status == 401)
        }
    }

    @Test func signingInAndOutIsInTheAudit() async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            try await visitor.post("/dashboard/sign-out")
            let actions = try await api.store.listAudit(CursorPage(limit: 2)).rows.map(\.action)
            #expect(actions == ["dashboard.sign-out", "dashboard.sign-in"])
        }
    }

    @Test(arguments: [
        "https://evil.example/", "//evil.example", "/dashboard//evil.example", "/v2/audit", "/dashboard\\x",
    ])
    func signingInLeadsNowhereElse(next: String) async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            try await visitor.get("/dashboard")
            let reply = try await visitor.post(
                "/dashboard/sign-in", [("key", api.keyText(.ownKey)), ("next", next)])
            #expect(reply.header("location") == "/dashboard")
        }
    }
}

extension String {
    func components(of part: String) -> Int { ranges(of: part).count }
}
