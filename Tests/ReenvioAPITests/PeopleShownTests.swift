import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Who sees people's data, and what is kept of that (`docs/contract.md` 9 and 14).
struct PeopleShownTests {
    private static let path = "/v2/payout/payments"
    private static let body = #"""
        {"merchant_id":303,"payment_method":"PIX","currency":"BRL","country":"BR","amount":43.34,"invoice":"p-1",
        "description":"rent of Maria",
        "beneficiary":{"name":"Maria Souza","birthdate":"1980-02-29","phone":"11987654321",
        "document":{"type":"CPF","number":"14538220647"},"address":{"city":"Campinas","country":"BR"}},
        "pix":{"pix_key":"14538220647"}}
        """#
    private static let secrets = ["Maria", "14538220647", "1980-02-29", "11987654321", "Campinas"]

    private static func create(_ api: APIFixture) async throws -> Int64 {
        let reply = try await api.call(.post, path, body)
        #expect(reply.status == 201 && reply.body.contains("Maria Souza"), "\(reply.body)")
        return try #require(Int64(reply.body.dropFirst(#"{"id":"#.count).prefix { $0.isNumber }))
    }

    @Test("without people:read every answer with a payout has the same members, masked")
    func masked() async throws {
        try await APIFixture.run { api async throws in
            let id = try await Self.create(api)
            let reader = try await api.key([.payoutsRead, .payoutsWrite])
            let reporter = try await api.operatorKey([.payoutsReport, .tenantsWrite])
            let url = #"{"notification_url":"https://shop.example/other"}"#
            let end = #"{"end_to_end":"D00000000202603240805abcdefghij1","occurred_at":"2026-03-24T08:00:00Z"}"#
            let replies = [
                try await api.call(.get, "\(Self.path)/\(id)", as: reader),
                try await api.call(.get, Self.path, as: reader),
                try await api.call(.patch, "\(Self.path)/\(id)", url, as: reporter),
                try await api.call(.post, "\(Self.path)/\(id)/transition", #"{"status_id":3}"#, as: reporter),
                try await api.call(.post, "\(Self.path)/\(id)/refund", end, as: reporter),
            ]
            for (place, reply) in replies.enumerated() {
                #expect(reply.status == 200, "\(place) \(reply.body)")
                for secret in Self.secrets { #expect(!reply.body.contains(secret), "\(place) \(secret)") }
                #expect(reply.body.contains(#""document":{"type":"CPF","number":"14******47"}"#), "\(reply.body)")
                #expect(reply.body.contains(#""pix_key":"14******47""#) && reply.body.contains(#""country":"BR""#))
                #expect(reply.header("Cache-Control") == "no-store")
            }
            let audit = try await api.store.listAudit(CursorPage()).rows
            #expect(!audit.contains { $0.action == "people.read" })
        }
    }

    @Test("with people:read all is shown, not cached, counted, and a list noted once an hour")
    func shown() async throws {
        try await APIFixture.run { api async throws in
            let id = try await Self.create(api)
            for _ in 0..<3 {
                let list = try await api.call(.get, Self.path)
                #expect(list.status == 200 && list.header("Cache-Control") == "no-store")
                for secret in Self.secrets { #expect(list.body.contains(secret)) }
            }
            #expect(try await api.call(.get, "\(Self.path)/\(id)").body.contains("Maria Souza"))
            func rows() async throws -> [AuditRow] {
                try await api.store.listAudit(CursorPage()).rows.filter { $0.action == "people.read" }
            }
            let first = try await rows()
            #expect(first.count == 1 && first[0].parameters.isEmpty && first[0].accountID == Fixtures.accountID)
            api.clock.advance(by: .seconds(3_600))
            _ = try await api.call(.get, Self.path)
            let second = try await rows()
            #expect(second.count == 2 && second[0].parameters == "2 more after the last such row")
            let metrics = try await api.call(.get, "/metrics", as: .operatorKey).body
            #expect(metrics.contains("reenvio_people_read_total 5\n"))
        }
    }

    @Test("every answer to a credential says that it is not to be cached")
    func notCached() async throws {
        try await APIFixture.run { api async throws in
            for path in [Self.path, "/v2/audit", "/v2/receivers", "/metrics", "/v2/payout/notifications/resend"] {
                let reply = try await api.call(.get, path, as: .operatorKey)
                #expect(reply.status == 200 && reply.header("Cache-Control") == "no-store", "\(path)")
            }
        }
    }

    @Test("a reveal needs people:read and takes from a bucket of its own")
    func reveal() async throws {
        let limits = try #require(RateLimits("reveal=2/min"))
        try await APIFixture.run(limits: limits) { api async throws in
            let page = "/dashboard/payouts/\(try await Self.create(api))"
            let reader = Visitor(api)
            try await reader.signIn(as: try await api.key([.payoutsRead]))
            #expect(!(try await reader.get(page).body.contains("/reveal")))
            #expect(try await reader.post("\(page)/reveal").status == 403)
            let visitor = Visitor(api)
            try await visitor.signIn(as: .ownKey)
            #expect(try await visitor.get(page).body.contains("/reveal"))
            for _ in 0..<2 {
                let shown = try await visitor.post("\(page)/reveal")
                #expect(shown.status == 200 && shown.body.contains("Maria Souza"))
            }
            let refused = try await visitor.post("\(page)/reveal")
            #expect(refused.status == 429 && refused.header("retry-after") == "30")
            #expect(!refused.body.contains("Maria"))
        }
    }
}
