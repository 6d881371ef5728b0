import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioTesting
import Testing

/// Every route of the table with every scope, of a key of an account and of an operator's (`docs/contract.md` 9). A
/// route without a row here fails.
struct RouteScopeTests {
    /// What a key must have; nil: no key opens it, or none is needed.
    private struct Rule {
        var scopes: [Scope]?
        var isOperators = false

        static let closed = Rule(scopes: nil)
        static let anyKey = Rule(scopes: Scope.allCases)
        static func one(_ scopes: Scope...) -> Rule { Rule(scopes: scopes) }
        static func operators(_ scope: Scope) -> Rule { Rule(scopes: [scope], isOperators: true) }

        func admits(_ scope: Scope, operator isOperator: Bool) -> Bool {
            (isOperator || !isOperators) && scopes?.contains(scope) == true
        }
    }

    private static let jobs = "/v2/payout/notifications/resend"
    private static let batches = "/v2/payout/notifications/resend-batches"
    private static let payments = "/v2/payout/payments"
    private static let v3 = "/v3/webhooks/resend"
    private static let webhooks = "/v3/accounts/api/webhooks"

    private static let rules: [String: Rule] = [
        "POST \(payments)": .one(.payoutsWrite), "GET \(payments)": .one(.payoutsRead),
        "GET \(payments)/{id}": .one(.payoutsRead), "PATCH \(payments)/{id}": .operators(.tenantsWrite),
        "POST \(payments)/{id}/cancel": .one(.payoutsWrite),
        "POST \(payments)/{id}/transition": .operators(.payoutsReport),
        "POST \(payments)/{id}/refund": .operators(.payoutsReport),
        "POST /v2/payout/transitions": .operators(.payoutsReport),
        "GET \(payments)/{id}/notifications": .one(.payoutsRead), "GET \(payments)/{id}/why": .one(.payoutsRead),
        "POST \(payments)/{id}/notifications/resend": .one(.resendWrite),
        "POST \(jobs)": .one(.resendWrite), "GET \(jobs)": .one(.payoutsRead, .resendWrite),
        "GET \(jobs)/{job_id}": .anyKey, "DELETE \(jobs)/{job_id}": .one(.resendWrite),
        "GET \(jobs)/{job_id}/items": .one(.payoutsRead, .resendWrite),
        "POST \(batches)": .one(.resendWrite), "GET \(batches)": .one(.payoutsRead, .resendWrite),
        "GET \(batches)/{batch_id}": .one(.payoutsRead, .resendWrite),
        "DELETE \(batches)/{batch_id}": .one(.resendWrite),
        "GET /v2/receivers": .one(.payoutsRead), "POST /v2/receivers/{id}/pause": .one(.receiversWrite),
        "POST /v2/receivers/{id}/resume": .one(.receiversWrite),
        "POST /v2/merchants/{id}/webhook-secret/rotate": .one(.secretsWrite),
        "POST /v2/merchants/{id}/ping": .one(.receiversWrite),
        "POST /v2/merchants/{id}/notification-urls/move": .operators(.tenantsWrite),
        "GET /v2/audit": .one(.auditRead), "GET /metrics": .operators(.metricsRead),
        "POST /v3/cashin/qrcodes": .operators(.payoutsReport),
        "POST /v3/cashin/qrcodes/{id}/events": .operators(.payoutsReport),
        "POST \(v3)": .closed, "GET \(v3)": .closed, "GET \(v3)/{id}": .closed, "GET \(v3)/{id}/items": .closed,
        "DELETE \(v3)/{id}": .closed, "POST \(webhooks)": .closed, "GET \(webhooks)": .closed,
        "GET /v3/accounts/webhooks": .closed, "PATCH \(webhooks)/{webhook_id}": .closed,
        "DELETE \(webhooks)/{webhook_id}": .closed,
    ]
    /// Routes that need no credential, or find it in the body.
    private static let open: Set<String> = [
        "GET /", "GET /healthz", "GET /readyz", "GET /openapi.yaml", "GET /docs", "GET /docs/style.css",
        "POST /v2/finance/auth-token",
    ]

    @Test("each scope opens exactly its routes, for keys of accounts and of operators")
    func everyRouteWithEveryScope() async throws {
        try await APIFixture.run { api async throws in
            var accounts: [Scope: APIFixture.Credential] = [:]
            var operators: [Scope: APIFixture.Credential] = [:]
            for scope in Scope.allCases {
                accounts[scope] = try await api.key([scope])
                operators[scope] = try await api.operatorKey([scope])
            }
            var seen: Set<String> = []
            for endpoint in api.table.endpoints {
                let name = "\(endpoint.method.rawValue) \(endpoint.path)"
                seen.insert(name)
                if Self.open.contains(name) {
                    #expect(endpoint.access == .open || endpoint.access == .signIn, "\(name)")
                    continue
                }
                guard let rule = Self.rules[name] else {
                    Issue.record("\(name) has no row in this test")
                    continue
                }
                for scope in Scope.allCases {
                    for (key, isOperator) in [(accounts[scope], false), (operators[scope], true)] {
                        let reply = try await Self.ask(endpoint, api, as: try #require(key))
                        let isAdmitted = ![401, 403, 429].contains(reply.status)
                        #expect(
                            isAdmitted == rule.admits(scope, operator: isOperator),
                            "\(name) with \(scope.rawValue), operator \(isOperator): \(reply.status) \(reply.body)")
                    }
                }
            }
            #expect(seen == Set(Self.rules.keys).union(Self.open))
        }
    }

    private static func ask(
        _ endpoint: Endpoint, _ api: APIFixture, as key: APIFixture.Credential
    ) async throws -> APIFixture.Reply {
        let path = endpoint.path.split(separator: "/").map { $0.hasPrefix("{") ? "999999" : String($0) }
        return try await api.call(
            endpoint.method, "/" + path.joined(separator: "/"), endpoint.takesBody ? "{}" : nil, as: key)
    }

    @Test("an operator key without scopes opens every route that takes a key")
    func operatorsWithoutScopes() async throws {
        try await APIFixture.run { api async throws in
            for endpoint in api.table.endpoints {
                let name = "\(endpoint.method.rawValue) \(endpoint.path)"
                guard Self.rules[name]?.scopes != nil else { continue }
                let reply = try await Self.ask(endpoint, api, as: .operatorKey)
                #expect(![401, 403].contains(reply.status), "\(name): \(reply.status)")
            }
        }
    }

    @Test("an operator's key with scopes learns which one it lacks; a key of an account that it is not an operator's")
    func refusals() async throws {
        try await APIFixture.run { api async throws in
            let metrics = try await api.operatorKey([.metricsRead])
            #expect(try await api.call(.get, "/metrics", as: metrics).status == 200)
            let audit = try await api.call(.get, "/v2/audit", as: metrics)
            #expect(audit.body.contains(#""scope":["The key lacks the scope audit:read."]"#))
            let report = try await api.call(.post, "/v2/payout/transitions", "{}", as: metrics)
            #expect(report.status == 403 && report.body.contains("The key lacks the scope payouts:report."))
            let own = try await api.call(.post, "/v2/payout/transitions", "{}")
            #expect(own.status == 403 && own.body.contains("Only an operator key may do that."))
        }
    }

    @Test("the audit is the account's for its keys, and everyone's for operators")
    func auditOfAnAccount() async throws {
        try await APIFixture.run { api async throws in
            let reader = try await api.key([.auditRead])
            let own = try await api.call(.get, "/v2/audit?limit=100", as: reader)
            #expect(own.status == 200 && own.body.contains(#""target":"merchant 303""#))
            #expect(!own.body.contains("merchant 404"))
            #expect(try await api.call(.get, "/v2/audit?limit=100", as: .operatorKey).body.contains("merchant 404"))
        }
    }
}
