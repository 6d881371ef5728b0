import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Keys that are limited to merchants: others of the same account look like another account's (`docs/contract.md` 9).
struct KeyMerchantTests {
    private static let payments = "/v2/payout/payments"
    private static let jobs = "/v2/payout/notifications/resend"
    private static let batches = "/v2/payout/notifications/resend-batches"
    private static let window = #""start_time":"2026-03-24 07:00:00","end_time":"2026-03-24 10:00:00""#

    /// What stands in the account: merchant 303 with a payout, a job, a batch and a receiver, and merchant 305.
    private struct Stage {
        var payout: Int64
        var job: String
        var batch: String
        var receiver: Int64
    }

    private static func stage(_ api: APIFixture) async throws -> Stage {
        for id: Int64 in [305, 306] {
            let other = NewMerchant(
                id: id, accountID: Fixtures.accountID, name: "Shop \(id)", signingSecret: try Fixtures.signingSecret)
            _ = try await api.store.createMerchant(other, actor: "test", now: Fixtures.start)
        }
        let ids = try await api.store.createPayouts(1)
        try await api.store.report(.paid, ids, at: api.clock.wall)
        let job = try await api.call(.post, jobs, #"{"merchant_id":303,\#(window)}"#)
        let range = #""start_time":"2026-03-23 07:00:00","end_time":"2026-03-24 10:00:00""#
        let batch = try await api.call(.post, batches, #"{"merchant_ids":[303],\#(range)}"#)
        #expect(job.status == 202 && batch.status == 202)
        try await api.dispatch()
        let receivers = try await api.store.listReceivers(merchantID: 303, accountID: nil, CursorPage()).receivers
        return Stage(
            payout: try #require(ids.first), job: try text("job_id", job), batch: try text("batch_id", batch),
            receiver: try #require(receivers.first).id)
    }

    private static func text(_ name: String, _ reply: APIFixture.Reply) throws -> String {
        let field = try #require(reply.body.firstRange(of: "\"\(name)\":\""))
        return String(reply.body[field.upperBound...].prefix { $0 != "\"" })
    }

    /// Body and status of a route of v2 that names or filters a merchant; no status: it names none.
    private struct Row {
        var body: String?
        var status: Int?

        init(_ body: String?, _ status: Int?) {
            self.body = body
            self.status = status
        }
    }

    private static let one = #"{"merchant_id":303,\#(window)}"#
    private static let several = #"{"merchant_ids":[303,305],\#(window)}"#
    private static let rows: [String: Row] = [
        "POST \(payments)": Row(#"{"merchant_id":303}"#, 422),
        "GET \(payments)": Row(nil, 422),
        "GET \(payments)/{id}": Row(nil, 404),
        "POST \(payments)/{id}/cancel": Row(nil, 404),
        "GET \(payments)/{id}/notifications": Row(nil, 404),
        "GET \(payments)/{id}/why": Row(nil, 404),
        "POST \(payments)/{id}/notifications/resend": Row(nil, 404),
        "POST \(jobs)": Row(one, 422),
        "GET \(jobs)": Row(nil, 422),
        "GET \(jobs)/{job_id}": Row(nil, 403),
        "DELETE \(jobs)/{job_id}": Row(nil, 403),
        "GET \(jobs)/{job_id}/items": Row(nil, 403),
        "POST \(batches)": Row(several, 422),
        "GET \(batches)": Row(nil, nil),
        "GET \(batches)/{batch_id}": Row(nil, 404),
        "DELETE \(batches)/{batch_id}": Row(nil, 404),
        "GET /v2/receivers": Row(nil, 422),
        "POST /v2/receivers/{id}/pause": Row(nil, 404),
        "POST /v2/receivers/{id}/resume": Row(nil, 404),
        "POST /v2/merchants/{id}/webhook-secret/rotate": Row("{}", 404),
        "POST /v2/merchants/{id}/ping": Row(#"{"url":"https://a.example/"}"#, 404),
        "GET /v2/audit": Row(nil, 403),
        "POST /v2/finance/auth-token": Row(nil, nil),
    ]

    @Test("every route of v2 refuses a merchant that the key may not act for; a route without a row fails")
    func everyRoute() async throws {
        try await APIFixture.run { api async throws in
            let stage = try await Self.stage(api)
            let key = try await api.key(Scope.allCases, merchants: [305])
            for endpoint in api.table.endpoints where endpoint.path.hasPrefix("/v2/") {
                if case .operatorKey = endpoint.access { continue }
                let name = "\(endpoint.method.rawValue) \(endpoint.path)"
                guard let row = Self.rows[name] else {
                    Issue.record("\(name) has no row in this test")
                    continue
                }
                guard let status = row.status else { continue }
                var path = endpoint.path
                let isList = endpoint.method == .get && !path.contains("{")
                if path.contains("/merchants/") { path = path.replacing("{id}", with: "303") }
                if path.contains("/receivers/") { path = path.replacing("{id}", with: "\(stage.receiver)") }
                path = path.replacing("{id}", with: "\(stage.payout)").replacing("{job_id}", with: stage.job)
                    .replacing("{batch_id}", with: stage.batch)
                if isList, path != "/v2/audit" { path += "?merchant_id=303" }
                let reply = try await api.call(endpoint.method, path, row.body, as: key)
                #expect(reply.status == status, "\(name): \(reply.status) \(reply.body)")
                #expect(!reply.body.contains("inv-"), "\(name)")
            }
            #expect(try await api.call(.get, "\(Self.payments)/\(stage.payout)").body.contains(#""status":{"id":3,"#))
        }
    }

    @Test(
        "lists show the key's merchants only, and what is not named is the key's only merchant",
        arguments: [
            [305], [305, 306],
        ])
    func lists(_ merchants: Set<Int64>) async throws {
        try await APIFixture.run { api async throws in
            let stage = try await Self.stage(api)
            let limited = try await api.key(Scope.allCases, merchants: merchants)
            let both = try await api.key(Scope.allCases, merchants: [303, 305])
            for path in [Self.payments, Self.jobs, Self.batches, "/v2/receivers"] {
                let hidden = try await api.call(.get, path, as: limited)
                #expect(hidden.status == 200 && hidden.body.contains(#""data":[]"#), "\(path) \(hidden.body)")
                let shown = try await api.call(.get, path, as: both)
                #expect(shown.status == 200 && !shown.body.contains(#""data":[]"#), "\(path) \(shown.body)")
            }
            let every = try await api.call(
                .post, Self.batches, #"{"all_merchants":true,"dry_run":true,\#(Self.window)}"#, as: limited)
            #expect(every.status == 200 && every.body.hasPrefix(#"{"total":0"#), "\(every.body)")
            #expect(try await api.call(.get, "\(Self.jobs)/\(stage.job)/items", as: both).status == 200)
        }
    }

    @Test("a repeated Idempotency-Key does not show what the key may not see")
    func replays() async throws {
        try await APIFixture.run { api async throws in
            _ = try await Self.stage(api)
            let body = #"{"merchant_id":303,"start_time":"2026-03-24 01:00:00","end_time":"2026-03-24 03:00:00"}"#
            let headers = ["Idempotency-Key": "again"]
            #expect(try await api.call(.post, Self.jobs, body, headers: headers).status == 202)
            let limited = try await api.key(merchants: [305])
            let reply = try await api.call(.post, Self.jobs, body, as: limited, headers: headers)
            #expect(reply.status == 404, "\(reply.body)")
        }
    }

    @Test("the dashboard of such a key shows its merchants only")
    func pages() async throws {
        try await APIFixture.run { api async throws in
            let stage = try await Self.stage(api)
            let visitor = Visitor(api)
            try await visitor.signIn(as: try await api.key(Scope.allCases, merchants: [305]))
            for path in ["", "/payouts", "/payouts?q=\(stage.payout)", "/resend", "/jobs", "/receivers"] {
                let page = try await visitor.get("/dashboard" + path)
                #expect(page.status == 200, "\(path)")
                for text in ["payouts/\(stage.payout)\"", stage.job, stage.batch, ">303<", "=303", "\"303\""] {
                    #expect(!Self.main(page.body).contains(text), "\(path) shows \(text)")
                }
            }
            #expect(try await visitor.get("/dashboard/payouts/\(stage.payout)").status == 404)
            #expect(try await visitor.get("/dashboard/batches/\(stage.batch)").status == 404)
            #expect(try await visitor.get("/dashboard/jobs/\(stage.job)").status == 404)
            #expect(try await visitor.post("/dashboard/receivers/\(stage.receiver)/pause").status == 404)
        }
    }

    /// A page without its examples for the shell.
    private static func main(_ page: String) -> String {
        page.split(separator: "\n").filter { !$0.contains("curl") }.joined(separator: "\n")
    }
}
