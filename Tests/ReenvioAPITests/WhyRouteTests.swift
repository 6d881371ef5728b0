import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Why, the log, one payout's resend, receivers, rotation and ping over HTTP (`docs/contract.md` 13.9 to 13.15).
struct WhyRouteTests {
    private static func window(_ start: String, _ end: String) -> String {
        "?start_time=2026-03-24%20\(start)&end_time=2026-03-24+\(end)"
    }

    private static func why(_ api: APIFixture, _ query: String = "") async throws -> String {
        let reply = try await api.call(.get, "/v2/payout/payments/1/why\(query)")
        #expect(reply.status == 200, "\(reply.body)")
        return reply.body
    }

    @Test("each reason against a window, all at once, and none where it matches")
    func windows() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.store.createPayouts(1)
            let awaiting = try await Self.why(api, Self.window("08:00:00", "09:00:00"))
            #expect(awaiting.contains(#""matches":false,"why_not":["not_notifiable_now","before_window"]"#))
            api.clock.advance(by: .seconds(600))
            try await api.store.report(.paid, [1], at: api.clock.wall)
            let paid = try await Self.why(api, Self.window("08:10:00", "08:10:01"))
            #expect(paid.contains(#""matches":true,"why_not":[]"#))
            #expect(paid.contains("would match it."))
            #expect(try await Self.why(api, Self.window("08:10:01", "09:00:00")).contains(#"["before_window"]"#))
            #expect(try await Self.why(api, Self.window("08:00:00", "08:09:59")).contains(#"["after_window"]"#))
            let plain = try await Self.why(api)
            #expect(plain.contains(#""matches":null,"why_not":[]"#))
            #expect(plain.contains(#""explanation":["The latest webhook is msg_"#))
            #expect(plain.contains("It has not been acknowledged."))
            #expect(plain.contains("The next attempt is due at 2026-03-24T08:10:00Z."))
            #expect(plain.contains(#""health":"ok""#))
        }
    }

    @Test("a payout without a URL, and one that was erased, say so")
    func special() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.store.createPayouts(1, url: nil)
            try await api.store.report(.paid, [1], at: api.clock.wall)
            let body = try await Self.why(api, Self.window("07:00:00", "09:00:00"))
            #expect(body.contains(#""why_not":["no_url"]"#))
            #expect(body.contains("No webhook was ever due for it."))
            #expect(body.contains(#""receiver":null"#))
            #expect(
                body.contains(
                    "Nothing more is planned; a resend of it would be refused (409): "
                        + "Nothing was ever notified for this payout."))
        }
    }

    @Test("what a resend would answer is what it answers: sent, never notified, erased, not allowed")
    func resends() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.store.createPayouts(1)
            let path = "/v2/payout/payments/1/notifications/resend"
            func expect(_ status: Int, _ message: String?, wouldFail: String?, _ sentence: String) async throws {
                let body = try await Self.why(api, Self.window("07:00:00", "09:00:00"))
                let words = message.map { "\"\($0)\"" } ?? "null"
                let reason = wouldFail.map { "\"\($0)\"" } ?? "null"
                #expect(
                    body.contains(#""resend":{"status":\#(status),"message":\#(words),"would_fail":\#(reason)}"#),
                    "\(body)")
                #expect(body.contains(sentence), "\(body)")
                #expect(body.contains("It would count as failed there: ") == (wouldFail != nil))
                let reply = try await api.call(.post, path)
                #expect(reply.status == status, "\(reply.body)")
                if let message { #expect(reply.body == #"{"message":"\#(message)"}"#) }
            }
            func change(_ sql: String) async throws {
                try await api.store.engine.write(.intake) { db in _ = try db.run(sql) }
            }
            try await expect(
                409, "Nothing was ever notified for this payout.", wouldFail: nil, "a resend of it would be refused")
            try await api.store.report(.paid, [1], at: api.clock.wall)
            try await change("DELETE FROM deliveries")
            try await expect(202, nil, wouldFail: nil, "Nothing more is planned; a resend sends it again.")
            try await change("DELETE FROM deliveries")
            try await change("UPDATE receivers SET paused_at = 1")
            #expect(try await Self.why(api).contains("a resend would wait: the receiver is paused since"))
            try await change("UPDATE payouts SET notification_url = 'https://127.0.0.1/hook'")
            try await expect(
                409, "The notification_url of this payout is not allowed.", wouldFail: "address_forbidden",
                "a resend of it would be refused (409): The notification_url of this payout is not allowed.")
            try await change("UPDATE payouts SET erased_at = 1")
            try await expect(
                409, "The data of this payout was erased.", wouldFail: "erased",
                "a resend of it would be refused (409): The data of this payout was erased.")
        }
    }

    @Test("a window is judged by the rules of a resend; half a window is a fault; unknown and foreign are 404")
    func refusals() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.store.createPayouts(1)
            let path = "/v2/payout/payments/1/why"
            for (query, text) in [
                ("?start_time=2026-03-24%2008:00:00", "The end_time field is required."),
                (Self.window("09:00:00", "08:00:00"), "The end_time field must be after start_time."),
                (Self.window("08:00:00", "11:00:01"), "The time range must not exceed 3 hours."),
                (Self.window("25:00:00", "26:00:00"), "The start_time field must match the format"),
            ] {
                let reply = try await api.call(.get, path + query)
                #expect(reply.status == 422)
                #expect(reply.body.contains(text), "\(reply.body)")
            }
            #expect(try await api.call(.get, path, as: .otherKey).status == 404)
            #expect(try await api.call(.get, "/v2/payout/payments/99/why?start_time=x").status == 404)
            #expect(try await api.call(.get, "/v2/payout/payments/x/why").status == 404)
            #expect(try await api.call(.get, path, as: try await api.key([.payoutsWrite])).status == 403)
        }
    }

    @Test("the log, a resend of one payout, pause and resume, rotation: shapes, scopes and tenancy")
    func shapes() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.store.createPayouts(2)
            let notifications = "/v2/payout/payments/1/notifications"
            #expect(try await api.call(.get, notifications).body == #"{"data":[]}"#)
            #expect(try await api.call(.post, notifications + "/resend").status == 409)
            try await api.store.report(.paid, [1], at: api.clock.wall)
            let resent = try await api.call(.post, notifications + "/resend")
            #expect(resent.status == 202)
            #expect(resent.body.hasPrefix(#"{"webhook_id":"msg_"#))
            #expect(try await api.call(.post, notifications + "/resend", as: .otherKey).status == 404)
            let reader = try await api.key([.payoutsRead])
            #expect(try await api.call(.post, notifications + "/resend", as: reader).status == 403)
            let log = try await api.call(.get, notifications, as: reader)
            #expect(log.body.contains(#""kind":"resend","resend":null,"state":"waiting""#))
            #expect(log.body.contains(#""kind":"live","resend":null,"state":"waiting""#))
            let receivers = try await api.call(.get, "/v2/receivers")
            #expect(
                receivers.body
                    == #"{"data":[{"id":1,"merchant_id":303,"receiver":"https://a.example:443","health":"ok","#
                    + #""since":"2026-03-24T07:59:59Z","waiting":2}],"next":null}"#)
            #expect(try await api.call(.get, "/v2/receivers", as: .otherKey).body == #"{"data":[],"next":null}"#)
            #expect(try await api.call(.get, "/v2/receivers?merchant_id=404").status == 422)
            #expect(try await api.call(.post, "/v2/receivers/1/pause", as: reader).status == 403)
            #expect(try await api.call(.post, "/v2/receivers/1/pause", as: .otherKey).status == 404)
            let paused = try await api.call(.post, "/v2/receivers/1/pause")
            #expect(paused.status == 200)
            #expect(paused.body.contains(#""health":"paused","since":"2026-03-24T08:00:00Z","waiting":2"#))
            let waiting = try await Self.why(api)
            #expect(waiting.contains("It waits: the receiver is paused since 2026-03-24T08:00:00Z."))
            #expect(try await api.call(.post, "/v2/receivers/1/resume").body.contains(#""health":"ok""#))
            #expect(try await api.call(.post, "/v2/receivers/x/resume").status == 404)
            let rotate = "/v2/merchants/303/webhook-secret/rotate"
            #expect(try await api.call(.post, rotate, "{}").status == 403, "not a default scope")
            let keeper = try await api.key([.secretsWrite])
            let rotated = try await api.call(.post, rotate, #"{"overlap_hours":1}"#, as: keeper)
            #expect(rotated.status == 200)
            #expect(rotated.body.contains(#""overlap_ends_at":"2026-03-24T09:00:00Z""#))
            for hours in ["-1", "721", "\"1\"", "1.0"] {
                let reply = try await api.call(.post, rotate, #"{"overlap_hours":\#(hours)}"#, as: keeper)
                #expect(reply.status == 422, "\(hours)")
            }
            #expect(
                try await api.call(.post, "/v2/merchants/404/webhook-secret/rotate", "{}", as: keeper).status == 404)
        }
    }

    @Test("a ping needs a URL that deliveries may reach, and a merchant of the caller's")
    func pings() async throws {
        try await APIFixture.run { api async throws in
            let path = "/v2/merchants/303/ping"
            let missing = try await api.call(.post, path, "{}")
            #expect(missing.status == 422)
            #expect(missing.body.contains(#""url":["The url field is required."]"#))
            for url in ["http://shop.example/", "https://127.0.0.1/", "https://u:p@shop.example/", "x"] {
                #expect(try await api.call(.post, path, #"{"url":"\#(url)"}"#).status == 422, "\(url)")
            }
            let body = #"{"url":"https://shop.example/"}"#
            #expect(try await api.call(.post, "/v2/merchants/404/ping", body).status == 404)
            #expect(try await api.call(.post, path, body, as: try await api.key([.payoutsRead])).status == 403)
        }
    }
}
