import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioTesting
import Testing

/// Every page of the dashboard, and what each of its buttons does, with every scope (`docs/contract.md` 9). A page
/// without a row here fails.
struct PageScopeTests {
    private static let jobs: [Scope] = [.payoutsRead, .resendWrite]
    private static let resends: [Scope] = [.resendDryRun, .resendWrite]
    private static let rules: [String: [Scope]] = [
        "GET /dashboard": [.payoutsRead], "GET /dashboard/events": [.payoutsRead],
        "GET /dashboard/payouts": [.payoutsRead], "GET /dashboard/payouts/{id}": [.payoutsRead],
        // Both payouts:read and people:read.
        "POST /dashboard/payouts/{id}/reveal": [],
        "POST /dashboard/payouts/{id}/resend": [.resendWrite],
        "GET /dashboard/resend": resends, "POST /dashboard/resend": resends,
        "GET /dashboard/batches/{batch_id}": jobs, "GET /dashboard/batches/{batch_id}/events": jobs,
        "POST /dashboard/batches/{batch_id}/cancel": [.resendWrite],
        "GET /dashboard/jobs": jobs, "GET /dashboard/jobs/{job_id}": jobs, "GET /dashboard/jobs/{job_id}/events": jobs,
        "GET /dashboard/jobs/{job_id}/ledger": jobs, "POST /dashboard/jobs/{job_id}/cancel": [.resendWrite],
        "GET /dashboard/logs/{id}": [.payoutsRead], "GET /dashboard/logs/{id}/events": [.payoutsRead],
        "GET /dashboard/logs/{id}/ledger": [.payoutsRead], "POST /dashboard/logs/{id}/cancel": [.resendWrite],
        "GET /dashboard/receivers": [.payoutsRead], "POST /dashboard/receivers/ping": [.receiversWrite],
        "POST /dashboard/receivers/{id}/pause": [.receiversWrite],
        "POST /dashboard/receivers/{id}/resume": [.receiversWrite],
        "GET /dashboard/settings": [.auditRead, .secretsWrite],
        "POST /dashboard/settings/secrets/{id}/rotate": [.secretsWrite],
    ]

    @Test("each scope opens exactly its pages and buttons", arguments: [false, true])
    func everyPageWithEveryScope(_ isOperator: Bool) async throws {
        try await APIFixture.run { api async throws in
            let pages = api.pages.filter { $0.access != .signIn }
            #expect(Set(pages.map(Self.name)) == Set(Self.rules.keys))
            for scope in Scope.allCases {
                let key = isOperator ? try await api.operatorKey([scope]) : try await api.key([scope])
                let visitor = Visitor(api)
                try await visitor.signIn(as: key)
                for page in pages {
                    let isAdmitted = Self.rules[Self.name(page)]?.contains(scope) == true
                    // A stream that is let in goes on for a while.
                    if isAdmitted, page.path == "/dashboard/events" { continue }
                    let path = page.path.split(separator: "/").map { $0.hasPrefix("{") ? "999999" : String($0) }
                    let url = "/" + path.joined(separator: "/")
                    let reply = page.method == .get ? try await visitor.get(url) : try await visitor.post(url)
                    if page.path == "/dashboard", !isAdmitted {
                        #expect([303, 403].contains(reply.status), "\(scope.rawValue)")
                    } else {
                        #expect((reply.status != 403) == isAdmitted, "\(Self.name(page)) with \(scope.rawValue)")
                    }
                }
            }
        }
    }

    private static func name(_ page: Endpoint) -> String { "\(page.method.rawValue) \(page.path)" }

    @Test("a key that may only count sees the form, and nothing of the audit, the keys or the payouts")
    func countingOnly() async throws {
        try await APIFixture.run { api async throws in
            let visitor = Visitor(api)
            try await visitor.signIn(as: try await api.key([.resendDryRun]))
            let home = try await visitor.get("/dashboard")
            #expect(home.status == 303 && home.header("location") == "/dashboard/resend")
            let form = try await visitor.get("/dashboard/resend").body
            #expect(form.contains("href=\"/dashboard/resend\""))
            for path in ["payouts", "jobs", "receivers", "settings"] {
                #expect(!form.contains("href=\"/dashboard/\(path)\""), "\(path)")
            }
            let count = try await visitor.post(
                "/dashboard/resend",
                [("merchant", "303"), ("start", "2026-03-24T07:00"), ("end", "2026-03-24T10:00")])
            #expect(count.status == 200)
        }
    }

    @Test("who may rotate sees the merchants; who may read the audit sees it and the keys")
    func settings() async throws {
        try await APIFixture.run { api async throws in
            let rotator = Visitor(api)
            try await rotator.signIn(as: try await api.key([.secretsWrite]))
            let secrets = try await rotator.get("/dashboard/settings").body
            #expect(secrets.contains("secrets/303/rotate") && !secrets.contains(">Audit<"))
            #expect(!secrets.contains(">Keys<"))
            let reader = Visitor(api)
            try await reader.signIn(as: try await api.key([.auditRead]))
            let audit = try await reader.get("/dashboard/settings").body
            #expect(audit.contains(">Audit<") && audit.contains(">Keys<") && !audit.contains("secrets/303/rotate"))
        }
    }
}
