import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// `docs/contract.md` 2.1, 2.2 and 2.4 over HTTP.
struct PayoutRouteTests {
    static func body(invoice: String = "i-1", merchantID: Int64? = nil, extra: String = "") -> String {
        let merchant = merchantID.map { #""merchant_id":\#($0),"# } ?? ""
        return #"{\#(merchant)"payment_method":"PIX","currency":"BRL","country":"BR","amount":43.34,"#
            + #""invoice":"\#(invoice)","notification_url":"https://a.example/hook","#
            + #""beneficiary":{"name":"Ana","document":{"type":"CPF","number":"82608288200"}},"#
            + #""pix":{"pix_key":"82608288200"}\#(extra)}"#
    }

    @Test("create answers 201 with the payout object, key for key, and get shows the same")
    func createAndGet() async throws {
        try await APIFixture.run { api async throws in
            let created = try await api.call(.post, "/v2/payout/payments", Self.body())
            #expect(created.status == 201)
            #expect(
                created.body
                    == #"{"id":1,"merchant":{"id":303,"name":"Shop 303"},"payment_method":"PIX","country":"BR","#
                    + #""currency":"BRL","amount":"R$43.34","source_currency":null,"source_amount":null,"#
                    + #""invoice":"i-1","description":null,"authentication_code":null,"rejection_description":"","#
                    + #""notification_url":"https://a.example/hook","end_to_end":null,"#
                    + #""status":{"id":7,"name":"Awaiting"},"beneficiary":{"name":"Ana","#
                    + #""document":{"type":"CPF","number":"82608288200"},"birthdate":null,"#
                    + #""phone":null,"address":{"address":null,"city":null,"country":null,"state_code":null,"#
                    + #""zip_code":null}},"#
                    + #""receipt_message":"","pix":{"pix_key":"82608288200","bank_code":"","bank_branch":null,"#
                    + #""bank_branch_digit":null,"account":null,"account_digit":null,"account_type":""},"#
                    + #""purpose":"20","#
                    + #""paid_at":null,"created_at":"2026-03-24T08:00:00.000000Z","#
                    + #""updated_at":"2026-03-24T08:00:00.000000Z"}"#
            )
            #expect(try await api.call(.get, "/v2/payout/payments/1").body == created.body)
            #expect(try await api.call(.get, "/v2/payout/payments/1", as: .operatorKey).status == 200)
        }
    }

    @Test("what is unknown, foreign or no id at all is the same 404")
    func notFound() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.call(.post, "/v2/payout/payments", Self.body())
            for (path, credential) in [
                ("/v2/payout/payments/2", APIFixture.Credential.ownKey), ("/v2/payout/payments/1", .otherKey),
                ("/v2/payout/payments/abc", .ownKey), ("/v2/payout/payments/1.0", .ownKey),
                ("/v2/payout/payments/99999999999999999999", .ownKey),
            ] {
                let reply = try await api.call(.get, path, as: credential)
                #expect(reply.status == 404)
                #expect(reply.body == #"{"message":"Payout not found."}"#)
            }
        }
    }

    @Test("the merchant defaults to the only one; operators must name it; foreign and unknown look alike")
    func merchants() async throws {
        try await APIFixture.run { api async throws in
            let foreign = try await api.call(.post, "/v2/payout/payments", Self.body(merchantID: 404))
            let unknown = try await api.call(.post, "/v2/payout/payments", Self.body(merchantID: 999))
            #expect(foreign.status == 422)
            #expect(foreign.body == unknown.body)
            #expect(
                foreign.body == #"{"message":"Validation error.","errors":{"merchant_id":"#
                    + #"["The merchant_id is not associated with your account."]}}"#)
            let nameless = try await api.call(.post, "/v2/payout/payments", Self.body(), as: .operatorKey)
            #expect(nameless.body.contains("The merchant_id field is required."))
            let named = try await api.call(.post, "/v2/payout/payments", Self.body(merchantID: 404), as: .operatorKey)
            #expect(named.status == 201)
        }
    }

    @Test("an invoice that is taken is 422 on invoice")
    func duplicates() async throws {
        try await APIFixture.run { api async throws in
            #expect(try await api.call(.post, "/v2/payout/payments", Self.body()).status == 201)
            let again = try await api.call(.post, "/v2/payout/payments", Self.body())
            #expect(again.status == 422)
            #expect(again.body.hasPrefix(#"{"message":"Validation error.","errors":{"invoice":["#))
        }
    }

    @Test(
        "a transition answers 200 with the payout, 409 where the flow forbids it, 422 and 404 where it cannot be read")
    func transitions() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.call(.post, "/v2/payout/payments", Self.body())
            let path = "/v2/payout/payments/1/transition"
            api.clock.advance(by: .seconds(61))
            let paid = try await api.call(
                .post, path, #"{"status_id":3,"end_to_end":"E1","authentication_code":"A1"}"#, as: .operatorKey)
            #expect(paid.status == 200)
            #expect(paid.body.contains(#""status":{"id":3,"name":"Paid"}"#))
            #expect(paid.body.contains(#""end_to_end":"E1""#))
            #expect(paid.body.contains(#""paid_at":"2026-03-24T08:01:01.000000Z""#))
            let again = try await api.call(.post, path, #"{"status_id":3}"#, as: .operatorKey)
            #expect(again.status == 200)
            #expect(again.body == paid.body, "the status it has already: no change")
            let refused = try await api.call(.post, path, #"{"status_id":6}"#, as: .operatorKey)
            #expect(refused.status == 409)
            #expect(refused.body == #"{"message":"Status change from 3 to 6 is not allowed."}"#)
            for status in ["9", "0", "12", "-3"] {
                let reply = try await api.call(.post, path, #"{"status_id":\#(status)}"#, as: .operatorKey)
                #expect(reply.status == 422)
                #expect(reply.body.contains(#""status_id":["#))
            }
            let missing = "/v2/payout/payments/77/transition"
            #expect(try await api.call(.post, missing, #"{"status_id":3}"#, as: .operatorKey).status == 404)
            #expect(try await api.call(.post, missing, "{}", as: .operatorKey).status == 404)
        }
    }

    @Test("occurred_at dates the change; earlier than the last one is 409, far ahead is 422")
    func occurredAt() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.call(.post, "/v2/payout/payments", Self.body())
            let path = "/v2/payout/payments/1/transition"
            func report(_ status: Int, _ at: String) async throws -> APIFixture.Reply {
                try await api.call(.post, path, #"{"status_id":\#(status),"occurred_at":"\#(at)"}"#, as: .operatorKey)
            }
            let early = try await report(1, "2026-03-24T07:59:59Z")
            #expect(early.status == 409)
            #expect(early.body == #"{"message":"A later status is already recorded."}"#)
            #expect(try await report(1, "2026-03-24T08:05:01Z").status == 422)
            #expect(try await report(1, "2026-03-24T05:04:00-03:00").status == 200)
            let later = try await api.call(.post, path, #"{"status_id":3}"#, as: .operatorKey)
            #expect(later.body.contains(#""updated_at":"2026-03-24T08:04:00.000000Z""#), "a default is raised")
        }
    }

    @Test("a date is compared at its own precision, one by one and in a batch; updated_at never runs backwards")
    func ownPrecision() async throws {
        try await APIFixture.run { api async throws in
            api.clock.advance(by: .milliseconds(524))
            _ = try await api.call(.post, "/v2/payout/payments", Self.body())
            let path = "/v2/payout/payments/1/transition"
            func report(_ status: Int, _ at: String) async throws -> APIFixture.Reply {
                try await api.call(.post, path, #"{"status_id":\#(status),"occurred_at":"\#(at)"}"#, as: .operatorKey)
            }
            let same = try await report(1, "2026-03-24T08:00:00Z")
            #expect(same.status == 200)
            #expect(same.body.contains(#""updated_at":"2026-03-24T08:00:00.524000Z""#))
            #expect(try await report(2, "2026-03-24T07:59:59Z").status == 409)
            #expect(try await report(2, "2026-03-24T08:00:00.5Z").status == 200)
            #expect(try await report(2, "2026-03-24T23:59:60Z").status == 422)
            let batch =
                #"{"transitions":[{"id":1,"status_id":8,"occurred_at":"2026-03-24T08:00:00.52Z"},"#
                + #"{"id":1,"status_id":3,"occurred_at":"2026-03-24T08:00:00.523Z"},"#
                + #"{"id":1,"status_id":3,"occurred_at":"2026-03-24T05:00:00.524-03:00"}]}"#
            let done = try await api.call(.post, "/v2/payout/transitions", batch, as: .operatorKey)
            #expect(
                done.body == #"{"results":[{"id":1,"result":"applied"},{"id":1,"result":"refused","code":409,"#
                    + #""message":"A later status is already recorded."},{"id":1,"result":"applied"}]}"#)
            let payout = try await api.call(.get, "/v2/payout/payments/1")
            #expect(payout.body.contains(#""updated_at":"2026-03-24T08:00:00.524000Z""#))
        }
    }

    @Test("the platform may date a creation; a merchant's key may not, and later changes follow it")
    func datedCreation() async throws {
        try await APIFixture.run { api async throws in
            func create(
                _ invoice: String, _ at: String, as credential: APIFixture.Credential = .operatorKey
            ) async throws -> APIFixture.Reply {
                let body = Self.body(invoice: invoice, merchantID: 303, extra: #","occurred_at":"\#(at)""#)
                return try await api.call(.post, "/v2/payout/payments", body, as: credential)
            }
            let dated = try await create("a", "2026-03-24T04:59:00.25-03:00")
            #expect(dated.status == 201)
            let dates = #""created_at":"2026-03-24T07:59:00.250000Z","updated_at":"2026-03-24T07:59:00.250000Z""#
            #expect(dated.body.contains(dates))
            #expect(try await api.call(.get, "/v2/payout/payments/1").body == dated.body)
            let path = "/v2/payout/payments/1/transition"
            let before = #"{"status_id":1,"occurred_at":"2026-03-24T07:58:59Z"}"#
            #expect(try await api.call(.post, path, before, as: .operatorKey).status == 409)
            let same = #"{"status_id":1,"occurred_at":"2026-03-24T07:59:00Z"}"#
            let reply = try await api.call(.post, path, same, as: .operatorKey)
            #expect(reply.body.contains(#""updated_at":"2026-03-24T07:59:00.250000Z""#))
            #expect(try await create("b", "2026-03-24T08:05:00Z").status == 201, "five minutes ahead")
            for wrong in ["2026-03-24T08:05:01Z", "2026-03-24 08:00:00", "2026-03-24T23:59:60Z"] {
                let refused = try await create("c", wrong)
                #expect(refused.status == 422)
                #expect(refused.body.contains(#""occurred_at":["#))
            }
            let merchant = try await create("d", "2020-01-01T00:00:00Z", as: .ownKey)
            #expect(merchant.status == 201)
            #expect(merchant.body.contains(#""created_at":"2026-03-24T08:00:00.000000Z""#), "unknown to a merchant")
        }
    }

    @Test("a batch answers item by item, in order")
    func batches() async throws {
        try await APIFixture.run { api async throws in
            for invoice in ["a", "b"] {
                _ = try await api.call(.post, "/v2/payout/payments", Self.body(invoice: invoice))
            }
            let reply = try await api.call(
                .post, "/v2/payout/transitions",
                #"{"transitions":[{"id":1,"status_id":3},{"id":2,"status_id":7},{"id":1,"status_id":6},"#
                    + #"{"id":9,"status_id":3},{"id":2,"status_id":"3"},{"id":2,"status_id":1}]}"#,
                as: .operatorKey)
            #expect(reply.status == 200)
            #expect(
                reply.body == #"{"results":[{"id":1,"result":"applied"},{"id":2,"result":"unchanged"},"#
                    + #"{"id":1,"result":"refused","code":409,"message":"Status change from 3 to 6 is not allowed."},"#
                    + #"{"id":9,"result":"refused","code":404,"message":"Payout not found."},"#
                    + #"{"id":2,"result":"refused","code":422,"message":"Validation error.","#
                    + #""errors":{"status_id":["The status_id field must be an integer."]}},"#
                    + #"{"id":2,"result":"applied"}]}"#)
        }
    }

    @Test(
        "the whole batch is 422 only when it is no list of nameable items",
        arguments: [
            "{}", #"{"transitions":null}"#, #"{"transitions":{}}"#, #"{"transitions":[]}"#, #"{"transitions":[1]}"#,
            #"{"transitions":[{"status_id":3}]}"#, #"{"transitions":[{"id":"1","status_id":3}]}"#,
        ])
    func badBatches(_ body: String) async throws {
        try await APIFixture.run { api async throws in
            let reply = try await api.call(.post, "/v2/payout/transitions", body, as: .operatorKey)
            #expect(reply.status == 422)
            #expect(reply.body.contains(#""errors":{"transitions"#))
        }
    }

    @Test("a batch takes 1,000 items and no more")
    func batchLimit() async throws {
        try await APIFixture.run { api async throws in
            func batch(_ count: Int) -> String {
                let items = (1...count).map { #"{"id":\#($0),"status_id":3}"# }.joined(separator: ",")
                return #"{"transitions":[\#(items)]}"#
            }
            #expect(try await api.call(.post, "/v2/payout/transitions", batch(1_000), as: .operatorKey).status == 200)
            #expect(try await api.call(.post, "/v2/payout/transitions", batch(1_001), as: .operatorKey).status == 422)
        }
    }
}
