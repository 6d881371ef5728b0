import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Resends over ranges and merchants, and moved URLs, over HTTP (`docs/contract.md` 13.16 and 13.17).
struct BatchRouteTests {
    private static let path = "/v2/payout/notifications/resend-batches"

    private static func body(_ members: String) -> String {
        #"{"start_time":"2026-03-23 08:00:00","end_time":"2026-03-24 09:00:00",\#(members)}"#
    }

    private func paid(_ api: APIFixture, merchantID: Int64 = APIFixture.merchantID) async throws {
        let ids = try await api.store.createPayouts(3, merchantID: merchantID)
        try await api.store.report(.paid, ids)
    }

    @Test("a dry run counts by merchant, a dispatch is 202, the same again is 200 and the same batch")
    func dispatch() async throws {
        try await APIFixture.run { api async throws in
            try await paid(api)
            let count = try await api.call(.post, Self.path, Self.body(#""merchant_ids":[303],"dry_run":true"#))
            #expect(
                count.body == #"{"total":3,"windows":9,"by_merchant":[{"merchant_id":303,"total":3}]}"#)
            let made = try await api.call(.post, Self.path, Self.body(#""all_merchants":true"#))
            #expect(made.status == 202)
            #expect(made.body.contains(#""status":"processing","start_time":"2026-03-23 08:00:00""#))
            #expect(made.body.contains(#""merchants":1,"merchants_opened":0"#), "the account's own")
            let again = try await api.call(.post, Self.path, Self.body(#""all_merchants":true"#))
            #expect((again.status, again.body) == (200, made.body))
            #expect(again.header("Idempotent-Replayed") == "true")
            let list = try await api.call(.get, Self.path)
            #expect(list.body == #"{"data":[\#(made.body)],"next":null}"#)
            let id = try #require(made.body.split(separator: "\"").dropFirst(3).first)
            #expect(try await api.call(.get, "\(Self.path)/\(id)").body == made.body)
            #expect(try await api.call(.get, "\(Self.path)/\(id)", as: .operatorKey).body == made.body)
            for method in [HTTPRequest.Method.get, .delete] {
                let foreign = try await api.call(method, "\(Self.path)/\(id)", as: .otherKey)
                #expect((foreign.status, foreign.body) == (404, #"{"message":"Resend batch not found or expired."}"#))
            }
            let canceled = try await api.call(.delete, "\(Self.path)/\(id)")
            #expect(canceled.body.contains(#""status":"canceled""#))
        }
    }

    @Test("foreign merchants, a long range and a missing scope are refused")
    func refusals() async throws {
        try await APIFixture.run { api async throws in
            let foreign = try await api.call(.post, Self.path, Self.body(#""merchant_ids":[303,404,9]"#))
            #expect(foreign.status == 422)
            #expect(foreign.body.contains(#""merchant_ids":["Not associated with your account: 9, 404."]"#))
            let everybody = Self.body(#""merchant_ids":[303,404]"#)
            #expect(try await api.call(.post, Self.path, everybody, as: .operatorKey).status == 202)
            let reader = try await api.key([.payoutsRead, .resendDryRun])
            let own = Self.body(#""merchant_ids":[303]"#)
            #expect(try await api.call(.post, Self.path, own, as: reader).status == 403)
            let dry = Self.body(#""merchant_ids":[303],"dry_run":true"#)
            #expect(try await api.call(.post, Self.path, dry, as: reader).status == 200)
            let single = #"{"merchant_id":303,"start_time":"2026-03-23 08:00:00","end_time":"2026-03-24 09:00:00"}"#
            let published = try await api.call(.post, "/v2/payout/notifications/resend", single)
            #expect(published.body.contains("The time range must not exceed 3 hours."), "the published rule stays")
        }
    }

    @Test("one form is one batch, with one progress; the same form again leads to it")
    func form() async throws {
        try await APIFixture.run { api async throws in
            try await paid(api)
            let visitor = Visitor(api)
            try await visitor.signIn(as: .operatorKey)
            try await visitor.get("/dashboard/resend")
            let form = [("merchant", "all"), ("start", "2026-03-23 08:00:00"), ("end", "2026-03-24 09:00")]
            let counted = try await visitor.post("/dashboard/resend", form + [("action", "dry-run")])
            #expect(counted.status == 200)
            #expect(counted.body.contains("3 payouts match") && counted.body.contains("Merchant 303"))
            let sent = try await visitor.post("/dashboard/resend", form + [("action", "resend")])
            #expect(sent.status == 303)
            let location = try #require(sent.header("location"))
            #expect(location.hasPrefix("/dashboard/batches/"))
            let page = try await visitor.get(location)
            #expect(page.status == 200 && page.body.contains("2026-03-23 08:00:00 to 2026-03-24 09:00:00"))
            #expect(page.body.contains("data-live=\"\(location)/events\""))
            try await visitor.get("/dashboard/resend")
            let again = try await visitor.post("/dashboard/resend", form + [("action", "resend")])
            #expect(again.header("location") == location + "?repeated=1")
            #expect(try await visitor.get(location + "?repeated=1").body.contains("nothing new is sent"))
            let list = [("merchant", "303, 999"), ("start", "2026-03-23 08:00:00"), ("end", "2026-03-23 09:00:00")]
            let refused = try await visitor.post("/dashboard/resend", list + [("action", "dry-run")])
            #expect(refused.status == 422 && refused.body.contains("Not associated with your account: 999."))
            let canceled = try await visitor.post(location + "/cancel")
            #expect(canceled.status == 303)
            #expect(try await visitor.get(location).body.contains("canceled"))
            let stranger = Visitor(api)
            try await stranger.signIn(as: .otherKey)
            #expect(try await stranger.get(location).status == 404)
        }
    }

    // MARK: Moved URLs

    @Test("only an operator moves URLs; a dry run says what would move; the answer names both origins")
    func moves() async throws {
        try await APIFixture.run { api async throws in
            try await paid(api)
            let path = "/v2/merchants/303/notification-urls/move"
            let body = #"{"from":"https://a.example","to":"https://b.example:8443"}"#
            let dry = #"{"from":"https://a.example","to":"https://b.example:8443","dry_run":true}"#
            #expect(try await api.call(.post, path, body).status == 403)
            func expected(_ isDry: Bool) -> String {
                #"{"merchant_id":303,"from":"https://a.example:443","to":"https://b.example:8443","#
                    + #""dry_run":\#(isDry),"payouts":3,"open_deliveries":3,"registrations":0,"tokens_cleared":0,"#
                    + #""too_long":0,"next":null}"#
            }
            #expect(try await api.call(.post, path, dry, as: .operatorKey).body == expected(true))
            #expect(try await api.call(.post, path, body, as: .operatorKey).body == expected(false))
            let payout = try await api.call(.get, "/v2/payout/payments/1")
            #expect(payout.body.contains(#""notification_url":"https://b.example:8443/hook""#))
            let elsewhere = "/v2/merchants/999/notification-urls/move"
            #expect(try await api.call(.post, elsewhere, body, as: .operatorKey).status == 404)
            let refused = #"{"from":"https://a.example","to":"https://10.0.0.1"}"#
            #expect(try await api.call(.post, path, refused, as: .operatorKey).status == 422)
        }
    }

    @Test("a payout's URL alone: by an operator, judged like a new one, 200 with the payout")
    func setsOneURL() async throws {
        try await APIFixture.run { api async throws in
            try await paid(api)
            let path = "/v2/payout/payments/2"
            let body = #"{"notification_url":"https://c.example/x"}"#
            #expect(try await api.call(.patch, path, body).status == 403)
            let changed = try await api.call(.patch, path, body, as: .operatorKey)
            #expect(changed.status == 200)
            #expect(changed.body.contains(#""notification_url":"https://c.example/x""#))
            #expect(try await api.call(.get, path).body == changed.body)
            for wrong in [
                "{}", #"{"notification_url":null}"#, #"{"notification_url":"http://c.example"}"#,
                #"{"notification_url":5}"#,
            ] {
                #expect(try await api.call(.patch, path, wrong, as: .operatorKey).status == 422)
            }
            #expect(try await api.call(.patch, "/v2/payout/payments/99", body, as: .operatorKey).status == 404)
        }
    }
}
