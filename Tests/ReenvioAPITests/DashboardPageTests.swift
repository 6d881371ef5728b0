import HTTPTypes
import ReenvioAPI
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// What the dashboard's pages show, and to whom.
@Suite struct DashboardPageTests {
    /// Quotes and angles with and without a combining mark behind them, which the template library would let pass.
    private static let nasty = #"<script>alert(1)</script>"><img src=x onerror=1>"\#u{301} onfocus=1 '\#u{301} x=1"#

    private static func payout(
        _ api: APIFixture, merchant: Int64 = 303, invoice: String = "order-1"
    ) async throws -> Int64 {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("merchant_id", merchant)
            writer.member("payment_method", "PIX")
            writer.member("currency", "BRL")
            writer.member("country", "BR")
            writer.member("amount", number: "43.34")
            writer.member("invoice", invoice)
            writer.member("notification_url", "https://shop.example/hook?token=secret")
            writer.object("beneficiary") { writer in
                writer.member("name", "Maria Souza")
                writer.object("document") { writer in
                    writer.member("type", "CPF")
                    writer.member("number", "14538220647")
                }
            }
            writer.object("pix") { $0.member("pix_key", "14538220647") }
        }
        let reply = try await api.call(
            .post, "/v2/payout/payments", bytes: writer.bytes, as: .operatorKey)
        #expect(reply.status == 201)
        let id = reply.body.dropFirst(#"{"id":"#.count).prefix { $0.isNumber }
        return try #require(Int64(id))
    }

    @Test func markupIsTextEverywhere() async throws {
        try await APIFixture.run { api in
            let id = try await Self.payout(api, invoice: Self.nasty)
            let rejection = #"{"status_id":4,"rejection_description":"<b>no</b>"}"#
            let path = "/v2/payout/payments/\(id)/transition"
            #expect(try await api.call(.post, path, rejection, as: .operatorKey).status == 200)
            let visitor = Visitor(api)
            try await visitor.signIn(as: .operatorKey)
            let quoted = QueryString.encode(Self.nasty)
            for page in ["/payouts", "/payouts/\(id)", "/payouts?q=\(quoted)", "/jobs?merchant_id=\(quoted)"] {
                let body = try await visitor.get("/dashboard" + page).body
                #expect(body.components(of: "<script") == 1, "\(page)")
                #expect(!body.contains("<img") && !body.contains("<b>"), "\(page)")
                for mark in ["\"", "'"] {
                    #expect(!body.unicodeScalars.map(String.init).joined(separator: "|").contains("\(mark)|\u{301}"))
                }
            }
        }
    }

    /// What a receiver answers is text, its control characters are visible, and a redirect says where to.
    @Test func answersOfReceiversAreHarmless() async throws {
        let answer = WireAnswer(
            statusCode: 302, location: "https://shop.example/<new>\u{202E}",
            body: Array("\u{1B}[2J<b>no</b>\u{0}".utf8))
        try await APIFixture.run(transport: ScriptedTransport { _ in .answered(answer) }) { api in
            let id = try await Self.payout(api)
            let path = "/v2/payout/payments/\(id)"
            #expect(
                try await api.call(.post, "\(path)/transition", #"{"status_id":3}"#, as: .operatorKey).status == 200)
            // The first step of the fixture's schedule is a day.
            api.clock.advance(by: .seconds(86_401))
            try await api.dispatch()
            let log = try await api.call(.get, "\(path)/notifications", as: .operatorKey).body
            #expect(log.contains(#""location":"https://shop.example/<new>"#), "\(log)")
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            let pages = [
                try await visitor.get("/dashboard/payouts/\(id)").body,
                try await visitor.post("/dashboard/receivers/ping", [("url", "https://shop.example/try")]).body,
            ]
            for page in pages {
                #expect(page.contains("redirects to") && page.contains("https://shop.example/&lt;new&gt;\u{FFFD}"))
                #expect(page.contains("␛[2J&lt;b&gt;no&lt;/b&gt;␀"))
                #expect(!page.contains("\u{1B}") && !page.contains("\u{202E}") && !page.contains("<b>"))
            }
        }
    }

    @Test func peopleAreMaskedAndARevealIsNoted() async throws {
        try await APIFixture.run { api in
            let id = try await Self.payout(api)
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            let masked = try await visitor.get("/dashboard/payouts/\(id)").body
            #expect(masked.contains("Ma******za") && masked.contains("14******47"))
            #expect(!masked.contains("Maria") && !masked.contains("14538220647") && !masked.contains("secret"))
            let revealed = try await visitor.post("/dashboard/payouts/\(id)/reveal").body
            #expect(revealed.contains("Maria Souza") && revealed.contains("14538220647"))
            let row = try #require(try await api.store.listAudit(CursorPage(limit: 1)).rows.first)
            #expect(row.action == "payout.reveal" && row.target == "payout \(id)" && row.parameters == "")
            #expect(row.requester.requestID != nil && row.accountID == Fixtures.accountID)
        }
    }

    @Test func anAccountSeesItsOwnOnly() async throws {
        try await APIFixture.run { api in
            let foreign = try await Self.payout(api, merchant: 404, invoice: "foreign-1")
            let window =
                #"{"merchant_id":404,"start_time":"2026-03-24 08:00:00","end_time":"2026-03-24 11:00:00"}"#
            let job = try await api.call(.post, "/v2/payout/notifications/resend", window, as: .otherKey)
            let jobID = String(job.body.dropFirst(#"{"job_id":""#.count).prefix(32))
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            for path in [
                "/payouts/\(foreign)", "/jobs/\(jobID)", "/jobs/\(jobID)/events", "/jobs/\(jobID)/ledger", "/logs/1",
            ] {
                #expect(try await visitor.get("/dashboard" + path).status == 404, "\(path)")
            }
            for path in [
                "/payouts/\(foreign)/reveal", "/payouts/\(foreign)/resend", "/jobs/\(jobID)/cancel",
                "/receivers/1/pause", "/receivers/1/resume",
            ] {
                #expect(try await visitor.post("/dashboard" + path).status == 404, "\(path)")
            }
            for path in ["", "/payouts", "/payouts?q=foreign-1", "/jobs", "/receivers", "/resend"] {
                let body = try await visitor.get("/dashboard" + path).body
                #expect(!body.contains(">404<") && !body.contains("Other shop") && !body.contains(jobID), "\(path)")
            }
            let settings = try await visitor.get("/dashboard/settings").body
            #expect(!settings.contains("Other shop") && !settings.contains("merchant 404"))
            let foreignMerchant = try await visitor.post(
                "/dashboard/resend",
                [("merchant", "404"), ("start", "2026-03-24 08:00:00"), ("end", "2026-03-24 11:00:00")])
            #expect(foreignMerchant.status == 422)
            #expect(foreignMerchant.body.contains("not associated with your account"))
        }
    }

    @Test func aResendIsCountedThenDispatchedThenCanceled() async throws {
        try await APIFixture.run { api in
            let id = try await Self.payout(api)
            let path = "/v2/payout/payments/\(id)/transition"
            #expect(try await api.call(.post, path, #"{"status_id":3}"#, as: .operatorKey).status == 200)
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            let start = TimeText.plain(api.clock.wall - .seconds(600))
            let end = TimeText.plain(api.clock.wall + .seconds(600))
            let form = [("start", start.replacing(" ", with: "T")), ("end", end), ("status", "3")]
            let counted = try await visitor.post("/dashboard/resend", form + [("action", "dry-run")])
            #expect(counted.status == 200 && counted.body.contains("1 payouts match"))
            #expect(counted.body.contains("value=\"resend\""))
            let sent = try await visitor.post("/dashboard/resend", form + [("action", "resend")])
            let job = try #require(sent.header("location"))
            #expect(sent.status == 303 && job.hasPrefix("/dashboard/jobs/"))
            #expect(try await visitor.post("/dashboard/resend", form + [("action", "resend")]).status == 409)
            try await api.advanceResends()
            let page = try await visitor.get(job)
            #expect(page.body.contains("order-1") && page.body.contains("pending"))
            let csv = try await visitor.get(job + "/ledger?format=csv")
            #expect(csv.header("content-type") == "text/csv; charset=utf-8" && csv.body.contains("order-1"))
            #expect(try await visitor.post(job + "/cancel").status == 303)
            let events = try await visitor.get(job + "/events")
            #expect(events.header("content-type") == "text/event-stream")
            #expect(events.body.contains(#""job_state":"canceled""#) && events.body.contains(#""over":true"#))
        }
    }

    @Test func whatIsWrongIs422AndKept() async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            try await visitor.signIn(as: .operatorKey)
            let resend = try await visitor.post("/dashboard/resend", [("merchant", "x<y"), ("start", "yesterday")])
            #expect(resend.status == 422 && resend.body.contains("value=\"x&lt;y\""))
            #expect(resend.body.contains("must match the format") && resend.body.contains("must be an integer"))
            #expect(try await visitor.post("/dashboard/receivers/ping", [("merchant", "303")]).status == 422)
            let rotate = [("overlap_hours", "many")]
            #expect(try await visitor.post("/dashboard/settings/secrets/303/rotate", rotate).status == 422)
            #expect(try await visitor.get("/dashboard/payouts?q=\(String(repeating: "a", count: 256))").status == 422)
            #expect(try await visitor.get("/dashboard/jobs?status=sideways").status == 422)
            #expect(try await visitor.get("/dashboard/payouts/nothing").status == 404)
        }
    }

    @Test func aRotatedSecretIsShownOnce() async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            try await visitor.signIn(as: .operatorKey)
            let reply = try await visitor.post("/dashboard/settings/secrets/303/rotate", [("overlap_hours", "1")])
            #expect(reply.status == 200 && reply.body.contains("whsec_"))
            #expect(!(try await visitor.get("/dashboard/settings").body.contains("whsec_")))
        }
    }

    /// One HTML, one style, one script, at most 100 KiB together (the numbers of the dashboard).
    @Test func aFirstPaintIsSmall() async throws {
        try await APIFixture.run { api in
            let visitor = Visitor(api)
            try await visitor.signIn(as: .operatorKey)
            let page = try await visitor.get("/dashboard")
            var bytes = page.body.utf8.count
            let sources = page.body.split(separator: "\"").filter { $0.hasPrefix("/dashboard/assets/") }
            #expect(sources.count == 2)
            for source in sources {
                let reply = try await visitor.get(String(source))
                #expect(reply.status == 200 && reply.header("cache-control")?.contains("immutable") == true)
                bytes += reply.body.utf8.count
            }
            #expect(bytes < 100 << 10)
        }
    }
}
