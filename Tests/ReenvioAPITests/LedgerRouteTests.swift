import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// `docs/contract.md` 13.4 over HTTP.
struct LedgerRouteTests {
    private static let path = "/v2/payout/notifications/resend"

    /// A job over paid payouts, all of them pending.
    private static func job(_ count: Int, _ api: APIFixture) async throws -> String {
        let ids = try await api.store.createPayouts(count)
        try await api.store.report(.paid, ids, at: api.clock.wall)
        let body = #"{"merchant_id":303,"start_time":"2026-03-24 07:00:00","end_time":"2026-03-24 10:00:00"}"#
        let reply = try await api.call(.post, path, body)
        #expect(reply.status == 202)
        try await api.advanceResends()
        return String(reply.body.dropFirst(#"{"job_id":""#.count).prefix(32))
    }

    @Test func `a page has the contract's keys in order, and a link to the next`() async throws {
        try await APIFixture.run { api async throws in
            let job = try await Self.job(3, api)
            let reply = try await api.call(.get, "\(Self.path)/\(job)/items?limit=1&outcome=pending")
            #expect(reply.status == 200)
            #expect(reply.header("Cache-Control") == "no-store")
            #expect(reply.header("Content-Type") == "application/json")
            let webhookID = try #require(
                try await api.store.resend(jobID: job).flatMap { _ in reply.body.firstRange(of: "msg_") })
            let shown = reply.body[webhookID.lowerBound...].prefix(30)
            let cursor = CursorPage.cursor(1)
            #expect(
                reply.body == #"{"data":[{"payout_id":1,"invoice":"inv-0","webhook_id":"\#(shown)","#
                    + #""outcome":"pending","attempts":0,"last_status_code":null,"last_reason":null,"#
                    + #""last_attempt_at":null}],"next":"https://api.example.com\#(Self.path)/\#(job)/items?"#
                    + #"limit=1&outcome=pending&cursor=\#(cursor)"}"#)
            let rest = try await api.call(.get, "\(Self.path)/\(job)/items?limit=2&cursor=\(cursor)")
            #expect(rest.body.contains(#""invoice":"inv-1""#) && rest.body.contains(#""invoice":"inv-2""#))
            #expect(rest.body.hasSuffix(#""next":null}"#))
        }
    }

    @Test func `both formats send everything, more than one piece of it`() async throws {
        try await APIFixture.run { api async throws in
            let count = Int(Limits.ledgerPiece) + 3
            let job = try await Self.job(count, api)
            let csv = try await api.call(.get, "\(Self.path)/\(job)/items?format=csv")
            #expect(csv.status == 200)
            #expect(csv.header("Content-Type") == "text/csv; charset=utf-8")
            let lines = csv.body.split(separator: "\r\n", omittingEmptySubsequences: false)
            #expect(lines.count == count + 2)
            #expect(lines.first?.hasPrefix("payout_id,invoice,webhook_id,outcome,attempts,") == true)
            #expect(lines[1].hasPrefix("1,inv-0,msg_") && lines[1].hasSuffix(",pending,0,,,"))
            #expect(lines[count].hasPrefix("\(count),inv-\(count - 1),msg_"))
            #expect(lines.last == "")
            let ndjson = try await api.call(.get, "\(Self.path)/\(job)/items?format=ndjson")
            #expect(ndjson.header("Content-Type") == "application/x-ndjson")
            #expect(ndjson.body.split(separator: "\n").count == count)
            let none = try await api.call(.get, "\(Self.path)/\(job)/items?format=ndjson&outcome=delivered")
            #expect((none.status, none.body) == (200, ""))
        }
    }

    @Test(arguments: [
        ("limit=0", "limit"), ("limit=101", "limit"), ("cursor=x", "cursor"), ("outcome=sent", "outcome"),
        ("format=xml", "format"), ("format=csv&limit=5", "limit"), ("format=ndjson&cursor=c1", "cursor"),
    ])
    func `what is wrong is named`(_ query: String, _ field: String) async throws {
        try await APIFixture.run { api async throws in
            let job = try await Self.job(1, api)
            let reply = try await api.call(.get, "\(Self.path)/\(job)/items?\(query)")
            #expect(reply.status == 422)
            #expect(reply.body.hasPrefix(#"{"message":"Validation error.","errors":{"\#(field)":["#))
        }
    }

    @Test func `who may read it, and for how long`() async throws {
        try await APIFixture.run { api async throws in
            let job = try await Self.job(1, api)
            let path = "\(Self.path)/\(job)/items"
            #expect(try await api.call(.get, path, as: .none).status == 401)
            let foreign = try await api.call(.get, path + "?limit=0", as: .otherKey)
            #expect(foreign.status == 403)
            #expect(foreign.body == #"{"message":"You do not have access to this resend job."}"#)
            #expect(try await api.call(.get, path, as: .operatorKey).status == 200)
            let unknown = try await api.call(.get, "\(Self.path)/nobody/items")
            #expect(unknown.status == 404)
            #expect(unknown.body == #"{"message":"Resend job not found or expired."}"#)
            api.clock.advance(by: .seconds(25 * 3_600))
            #expect(try await api.call(.get, "\(Self.path)/\(job)").status == 404)
            #expect(try await api.call(.get, path).status == 200)
        }
    }
}
