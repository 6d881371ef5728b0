import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// `Idempotency-Key` on payout and resend creates (`docs/contract.md` 13.8).
struct IdempotencyTests {
    private static let payouts = "/v2/payout/payments"
    private static let resends = "/v2/payout/notifications/resend"

    private static func payout(_ invoice: String = "inv-1", amount: String = "43.34") -> String {
        #"{"payment_method":"PIX","currency":"BRL","country":"BR","amount":\#(amount),"invoice":"\#(invoice)","#
            + #""beneficiary":{"name":"Ana","document":{"type":"CPF","number":"82608288200"}},"#
            + #""pix":{"pix_key":"82608288200"}}"#
    }

    private static func resend(extra: String = "") -> String {
        #"{"merchant_id":303,"start_time":"2026-03-24 07:00:00","end_time":"2026-03-24 10:00:00"\#(extra)}"#
    }

    private static func post(
        _ api: APIFixture, _ path: String, _ body: String, key: String, as credential: APIFixture.Credential = .ownKey
    ) async throws -> APIFixture.Reply {
        try await api.call(.post, path, body, as: credential, headers: ["Idempotency-Key": key])
    }

    @Test("the same key and body make one payout; its first answer is given again, whatever happened since")
    func payoutReplay() async throws {
        try await APIFixture.run { api async throws in
            let first = try await Self.post(api, Self.payouts, Self.payout(), key: "k1")
            #expect(first.status == 201)
            #expect(first.header("Idempotent-Replayed") == nil)
            api.clock.advance(by: .seconds(60))
            try await api.store.report(.paid, [1], at: api.clock.wall)
            let again = try await Self.post(api, Self.payouts, Self.payout(), key: "k1")
            #expect(again.status == 201)
            #expect(again.body == first.body)
            #expect(again.header("Idempotent-Replayed") == "true")
            #expect(try await api.store.number("SELECT count(*) FROM payouts") == 1)
        }
    }

    @Test("the same key with another body is 422 on idempotency_key, even where only a blank differs")
    func otherBody() async throws {
        try await APIFixture.run { api async throws in
            _ = try await Self.post(api, Self.payouts, Self.payout(), key: "k1")
            for body in [Self.payout("inv-2"), Self.payout() + " "] {
                let reply = try await Self.post(api, Self.payouts, body, key: "k1")
                #expect(reply.status == 422)
                #expect(
                    reply.body == #"{"message":"Validation error.","errors":{"idempotency_key":"#
                        + #"["The idempotency_key has already been used with another body."]}}"#)
            }
            let invalid = try await Self.post(api, Self.payouts, "{}", key: "k1")
            #expect(invalid.body.contains("idempotency_key"), "looked at before the body is judged")
        }
    }

    @Test("only 2xx answers are remembered")
    func refusalsAreForgotten() async throws {
        try await APIFixture.run { api async throws in
            #expect(try await api.call(.post, Self.payouts, Self.payout()).status == 201)
            let taken = try await Self.post(api, Self.payouts, Self.payout(), key: "k1")
            #expect(taken.status == 422)
            let other = try await Self.post(api, Self.payouts, Self.payout("inv-2"), key: "k1")
            #expect(other.status == 201, "the key is still free")
        }
    }

    @Test("keys belong to an account, a method and a path, and are forgotten after 24 hours")
    func scope() async throws {
        try await APIFixture.run { api async throws in
            #expect(try await Self.post(api, Self.payouts, Self.payout(), key: "k1").status == 201)
            let foreign = try await Self.post(api, Self.payouts, Self.payout("inv-9"), key: "k1", as: .otherKey)
            #expect(foreign.status == 201)
            let elsewhere = try await Self.post(api, Self.resends, Self.resend(), key: "k1")
            #expect(elsewhere.status == 202)
            api.clock.advance(by: .seconds(24 * 3_600 - 1))
            #expect(try await Self.post(api, Self.payouts, Self.payout("inv-2"), key: "k1").status == 422)
            api.clock.advance(by: .seconds(1))
            #expect(try await Self.post(api, Self.payouts, Self.payout("inv-2"), key: "k1").status == 201)
        }
    }

    @Test("a key belongs to a route and its parameters, however their path is spelled and whatever query follows")
    func spellings() async throws {
        try await APIFixture.run { api async throws in
            #expect(try await Self.post(api, Self.payouts, Self.payout(), key: "k1").status == 201)
            for path in [Self.payouts + "?x=1", "/v2/payout/payment%73", "/%762/payout/payments?"] {
                let again = try await Self.post(api, path, Self.payout(), key: "k1")
                #expect(again.status == 201, "\(path)")
                #expect(again.header("Idempotent-Replayed") == "true", "\(path)")
            }
            #expect(try await api.store.number("SELECT count(*) FROM payouts") == 1)
            let ids = try await api.store.createPayouts(2, prefix: "other")
            try await api.store.report(.paid, ids, at: api.clock.wall)
            #expect(ids == [2, 3])
            let one = "/v2/payout/payments/2/notifications/resend"
            let first = try await Self.post(api, one, "", key: "k3")
            #expect(first.status == 202)
            let spelled = try await Self.post(api, "/v2/payout/payments/%32/notifications/resend?a", "", key: "k3")
            #expect(spelled.header("Idempotent-Replayed") == "true")
            #expect(spelled.body == first.body)
            let other = try await Self.post(api, "/v2/payout/payments/3/notifications/resend", "", key: "k3")
            #expect(other.status == 202)
            #expect(other.header("Idempotent-Replayed") == nil, "another parameter is another request")
        }
    }

    @Test("an empty key counts as none, one that is too long is refused")
    func keyText() async throws {
        try await APIFixture.run { api async throws in
            #expect(try await Self.post(api, Self.payouts, Self.payout(), key: "").status == 201)
            #expect(try await Self.post(api, Self.payouts, Self.payout("inv-2"), key: "").status == 201)
            let long = String(repeating: "k", count: 256)
            let reply = try await Self.post(api, Self.payouts, Self.payout("inv-3"), key: long)
            #expect(reply.status == 422)
            #expect(reply.body.contains(#""idempotency_key":["The idempotency_key field must not be longer"#))
            let longest = String(repeating: "k", count: 255)
            #expect(try await Self.post(api, Self.payouts, Self.payout("inv-4"), key: longest).status == 201)
        }
    }

    @Test("simultaneous equal requests make one payout and give one answer")
    func simultaneous() async throws {
        try await APIFixture.run { api async throws in
            let replies = try await withThrowingTaskGroup(of: APIFixture.Reply.self) { tasks in
                for _ in 0..<20 {
                    tasks.addTask { try await Self.post(api, Self.payouts, Self.payout(), key: "k1") }
                }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
            #expect(Set(replies.map(\.status)) == [201])
            #expect(Set(replies.map(\.body)).count == 1)
            #expect(replies.filter { $0.header("Idempotent-Replayed") == nil }.count == 1)
            #expect(try await api.store.number("SELECT count(*) FROM payouts") == 1)
        }
    }

    @Test("a resend is dispatched once; its 202 is given again while it runs and after its end")
    func resendReplay() async throws {
        try await APIFixture.run { api async throws in
            let ids = try await api.store.createPayouts(3)
            try await api.store.report(.paid, ids, at: api.clock.wall)
            let first = try await Self.post(api, Self.resends, Self.resend(), key: "k1")
            #expect(first.status == 202)
            let during = try await Self.post(api, Self.resends, Self.resend(), key: "k1")
            #expect(during.status == 202, "not 409: it is the same request")
            #expect(during.body == first.body)
            #expect(during.header("Idempotent-Replayed") == "true")
            #expect(try await Self.post(api, Self.resends, Self.resend(), key: "k2").status == 409)
            try await api.advanceResends()
            #expect(try await Self.post(api, Self.resends, Self.resend(), key: "k1").body == first.body)
            let fresh = try await Self.post(api, Self.resends, Self.resend(), key: "k2")
            #expect(fresh.status == 202, "the 409 was not remembered")
            #expect(fresh.body != first.body)
            #expect(try await api.store.number("SELECT count(*) FROM resends") == 2)
        }
    }

    @Test("in v3 keys belong to a user: no other user of the account is shown its log")
    func usersApart() async throws {
        try await APIFixture.run { api async throws in
            try await api.store.createMirror(id: 500)
            let ids = try await api.store.createPayouts(1, merchantID: 500)
            try await api.store.report(.paid, ids, at: api.clock.wall)
            let body = #"{"resend_type":"CASHOUT","object_reference_id":\#(ids[0])}"#
            let path = "/v3/webhooks/resend"
            let user = try await api.token(of: try await api.user(id: 246).credentials)
            let same = try await api.token(of: try await api.user(id: 247).credentials)
            let narrow = try await api.token(of: try await api.user(id: 248, merchants: [303]).credentials)
            #expect(try await Self.post(api, path, body, key: "k1", as: user).status == 201)
            #expect(try await Self.post(api, path, body, key: "k1", as: narrow).status == 404)
            let own = try await Self.post(api, path, body, key: "k1", as: same)
            #expect(own.header("Idempotent-Replayed") == nil)
            #expect(own.body.contains(#""user_id":247,"#))
            let again = try await Self.post(api, path, body, key: "k1", as: same)
            #expect(again.header("Idempotent-Replayed") == "true")
            #expect(again.body == own.body)
        }
    }

    @Test("a dry run ignores the key")
    func dryRun() async throws {
        try await APIFixture.run { api async throws in
            let dry = Self.resend(extra: #","dry_run":true"#)
            let long = String(repeating: "k", count: 300)
            #expect(try await Self.post(api, Self.resends, dry, key: long).status == 200)
            #expect(try await Self.post(api, Self.resends, dry, key: "k1").body == #"{"total":0}"#)
            #expect(try await Self.post(api, Self.resends, Self.resend(), key: "k1").status == 202)
            let after = try await Self.post(api, Self.resends, dry, key: "k1")
            #expect(after.status == 200)
            #expect(after.header("Idempotent-Replayed") == nil)
        }
    }
}
