import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Jobs and logs on the dashboard: one word for the state, every item with its outcome, a log canceled like a job.
@Suite struct DashboardResendTests {
    private static func dispatch(_ api: APIFixture) async throws -> String {
        let start = TimeText.plain(api.clock.wall - .seconds(600))
        let end = TimeText.plain(api.clock.wall + .seconds(600))
        let body = #"{"merchant_id":303,"start_time":"\#(start)","end_time":"\#(end)"}"#
        let job = try await api.call(.post, "/v2/payout/notifications/resend", body)
        #expect(job.status == 202)
        return String(job.body.dropFirst(#"{"job_id":""#.count).prefix(32))
    }

    @Test("the list shows the word of the page, and no green where nothing was delivered")
    func words() async throws {
        try await APIFixture.run { api in
            let ids = try await api.store.createPayouts(3)
            try await api.store.report(.paid, ids, at: api.clock.wall)
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            let jobID = try await Self.dispatch(api)
            try await api.advanceResends()
            func expect(_ word: String, _ tone: String) async throws {
                let list = try await visitor.get("/dashboard/jobs").body
                #expect(list.contains(#"<span class="pill \#(tone)">\#(word)</span>"#), "\(list)")
                #expect(!list.contains("pill good"))
                let page = try await visitor.get("/dashboard/jobs/\(jobID)").body
                #expect(page.contains(#"<span class="pill \#(tone)" data-field="job_state">\#(word)</span>"#))
            }
            try await expect("delivering", "calm")
            #expect(try await visitor.post("/dashboard/jobs/\(jobID)/cancel").status == 303)
            try await expect("canceled", "warn")
            let row = try await api.call(.get, "/v2/payout/notifications/resend?include=outcome").body
            #expect(row.contains(#""status":"completed""#) && row.contains(#""ended":"canceled""#))
            #expect(row.contains(#""phase":"canceled""#))
        }
    }

    @Test("a job's page names items that could not be queued; the dry run counts them ahead")
    func failedItems() async throws {
        try await APIFixture.run { api in
            let ids = try await api.store.createPayouts(3)
            try await api.store.report(.paid, ids, at: api.clock.wall)
            try await api.store.engine.write(.intake) { db in
                _ = try db.run("UPDATE payouts SET erased_at = 1 WHERE id = $1", [.int(ids[0])])
            }
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            let form = [
                ("start", TimeText.plain(api.clock.wall - .seconds(600))),
                ("end", TimeText.plain(api.clock.wall + .seconds(600))), ("action", "dry-run"),
            ]
            let counted = try await visitor.post("/dashboard/resend", form).body
            #expect(counted.contains("Could not be queued") && counted.contains("<dt>erased</dt><dd>1</dd>"))
            #expect(counted.contains("Takes about 24 h."), "first attempts wait a day by the fixture's schedule")
            try await api.store.engine.write(.intake) { db in _ = try db.run("UPDATE receivers SET paused_at = 1") }
            let paused = try await visitor.post("/dashboard/resend", form).body
            #expect(paused.contains("cannot be estimated: https://a.example:443 is paused."))
            #expect(!paused.contains("Takes about"))
            let jobID = try await Self.dispatch(api)
            try await api.advanceResends()
            let page = try await visitor.get("/dashboard/jobs/\(jobID)?outcome=failed").body
            #expect(page.contains(#"<th scope="row"><a href="/dashboard/payouts/\#(ids[0])">\#(ids[0])</a></th>"#))
            #expect(page.contains(#"<span class="pill bad">failed</span>"#) && page.contains(">erased</td>"))
            #expect(!page.contains(#"href="/dashboard/payouts/\#(ids[1])""#))
            #expect(page.contains(#"not queued <b data-field="failed_items">1</b>"#))
            let csv = try await visitor.get("/dashboard/jobs/\(jobID)/ledger?format=csv&outcome=failed").body
            #expect(csv.split(separator: "\r\n").count == 2)
        }
    }

    @Test("a log's page has its messages by outcome, and is canceled by a key that may resend")
    func logs() async throws {
        try await APIFixture.run { api in
            try await api.store.insertLogs([ResendLog.fixture(second: 1, status: .pending)])
            try await api.store.engine.write(.janitor) { db in
                _ = try db.run(
                    """
                    INSERT INTO resend_failures (merchant_id, resend_id, object_id, registration_id, reason)
                    VALUES (303, 1, 9, 7, 'address_forbidden')
                    """)
            }
            let reader = Visitor(api)
            try await reader.signIn(as: try await api.key([.payoutsRead]))
            let read = try await reader.get("/dashboard/logs/1").body
            #expect(read.contains("address forbidden") && !read.contains("/dashboard/logs/1/cancel"))
            #expect(try await reader.post("/dashboard/logs/1/cancel").status == 403)
            let other = Visitor(api)
            try await other.signIn(as: .otherKey)
            for path in ["", "/events", "/ledger?format=csv"] {
                #expect(try await other.get("/dashboard/logs/1" + path).status == 404, "\(path)")
            }
            #expect(try await other.post("/dashboard/logs/1/cancel").status == 404)
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            #expect(try await visitor.get("/dashboard/logs/1?outcome=delivered").body.contains("Nothing here yet."))
            #expect(try await visitor.get("/dashboard/logs/1?outcome=lost").status == 422)
            let csv = try await visitor.get("/dashboard/logs/1/ledger?format=csv&outcome=failed")
            #expect(
                csv.header("content-type") == "text/csv; charset=utf-8"
                    && csv.body.hasSuffix(",,7,,failed,0,,address_forbidden,\r\n"))
            #expect(try await visitor.get("/dashboard/logs/1").body.contains("/dashboard/logs/1/cancel"))
            #expect(try await visitor.post("/dashboard/logs/1/cancel").status == 303)
            let canceled = try await visitor.get("/dashboard/logs/1").body
            #expect(canceled.contains(#"<span class="pill warn" data-field="job_state">canceled</span>"#))
            #expect(canceled.contains("Canceled.") && !canceled.contains("/dashboard/logs/1/cancel"))
            #expect(try await visitor.post("/dashboard/logs/1/cancel").status == 409)
            let list = try await visitor.get("/dashboard/jobs").body
            #expect(list.contains(#"<span class="pill warn">canceled</span>"#))
        }
    }
}
