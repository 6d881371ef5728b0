import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// `GET /v2/audit` (`docs/contract.md` 9) and the list of jobs (13.3): pages newest first, walked by cursor.
struct AuditRouteTests {
    private static let resends = "/v2/payout/notifications/resend"

    private static func object(_ reply: APIFixture.Reply) throws -> JSONObject {
        guard case .object(let object) = try JSONParser.parse(Array(reply.body.utf8)) else { return JSONObject() }
        return object
    }

    private static func rows(_ reply: APIFixture.Reply) throws -> [JSONObject] {
        guard case .array(let values) = try object(reply)["data"] else { return [] }
        return values.compactMap { if case .object(let row) = $0 { row } else { nil } }
    }

    /// Follows `next` to the end; the texts of `key` in the order met.
    private static func walk(
        _ api: APIFixture, _ path: String, _ key: String, as credential: APIFixture.Credential
    ) async throws -> [String] {
        var found: [String] = []
        var next: String? = path
        while let here = next {
            let reply = try await api.call(.get, here, as: credential)
            #expect(reply.status == 200)
            for row in try rows(reply) {
                switch row[key] {
                case .string(let text): found.append(text)
                case .number(let number): found.append(number.text)
                default: Issue.record("no \(key) in \(reply.body)")
                }
            }
            if case .string(let url) = try object(reply)["next"] {
                #expect(url.hasPrefix("https://api.example.com/v2/"))
                next = String(url.dropFirst("https://api.example.com".count))
            } else {
                next = nil
            }
        }
        return found
    }

    @Test("a resend and a cancel say who asked, for what, and in which request")
    func rows() async throws {
        try await APIFixture.run { api async throws in
            _ = try await api.store.createPayouts(1)
            let cancel = try await api.call(.post, "/v2/payout/payments/1/cancel", nil)
            #expect(cancel.status == 200)
            #expect(try await api.call(.post, "/v2/payout/payments/1/cancel", nil).status == 200, "no change, no row")
            let body =
                #"{"merchant_id":303,"start_time":"2026-03-24 07:00:00","end_time":"2026-03-24 10:00:00","#
                + #""status_ids":[3]}"#
            let resend = try await api.call(.post, Self.resends, body)
            let audit = try await api.call(.get, "/v2/audit?limit=2", as: .operatorKey)
            let rows = try Self.rows(audit)
            #expect(rows.map { $0["action"] } == [.string("resend.create"), .string("payout.cancel")])
            #expect(rows[1]["target"] == .string("payout 1"))
            #expect(
                rows[0]["parameters"] == .string("merchant 303, 2026-03-24 07:00:00 to 2026-03-24 10:00:00, statuses 3")
            )
            #expect(rows[0]["request_id"] == .string(resend.header("x-request-id") ?? ""))
            #expect(rows[0]["at"] == .string(TimeText.zulu(api.clock.wall)))
            guard case .string(let actor) = rows[0]["actor"] else {
                Issue.record("no actor")
                return
            }
            #expect(actor.hasPrefix("key:"))
            #expect(
                rows[0].members.map(\.key)
                    == ["id", "at", "account_id", "actor", "action", "target", "parameters", "request_id", "address"])
        }
    }

    @Test("pages go on where the last one ended, newest first, each row once")
    func pages() async throws {
        try await APIFixture.run { api async throws in
            for number in 0..<7 {
                _ = try await api.store.createAccount(name: "a\(number)", actor: "test", now: api.clock.wall)
            }
            let count = try await api.store.number("SELECT count(*) FROM audit") ?? 0
            let ids = try await Self.walk(api, "/v2/audit?limit=3", "id", as: .operatorKey)
            #expect(ids == (1...count).reversed().map(String.init))
        }
    }

    @Test("the audit is for operators and accounts; a bad limit or cursor is 422", arguments: ["/v2/audit", resends])
    func refusals(_ path: String) async throws {
        try await APIFixture.run { api async throws in
            let own = try await api.call(.get, path)
            #expect(own.status == 200)
            let queries = ["limit=0", "limit=101", "limit=abc", "limit=2.0", "cursor=x", "cursor=c0", "cursor=12"]
            for query in queries {
                let reply = try await api.call(.get, "\(path)?\(query)", as: .operatorKey)
                #expect(reply.status == 422, "\(query)")
                #expect(reply.body.contains(query.hasPrefix("limit") ? #""limit":["# : #""cursor":["#))
            }
            let both = try await api.call(.get, "\(path)?limit=0&cursor=x", as: .operatorKey)
            #expect(both.body.contains(#""limit":["#) && both.body.contains(#""cursor":["#))
        }
    }

    @Test("jobs are listed for their account, filtered by merchant and status, with the job's id before its state")
    func jobs() async throws {
        try await APIFixture.run { api async throws in
            let ids = try await api.store.createPayouts(2)
            try await api.store.report(.paid, ids, at: api.clock.wall)
            for hour in 1...5 {
                let body =
                    #"{"merchant_id":303,"start_time":"2026-03-24 0\#(hour):00:00","#
                    + #""end_time":"2026-03-24 0\#(hour + 1):00:00"}"#
                #expect(try await api.call(.post, Self.resends, body).status == 202)
            }
            let running =
                #"{"merchant_id":303,"start_time":"2026-03-24 07:30:00","end_time":"2026-03-24 08:30:00"}"#
            #expect(try await api.call(.post, Self.resends, running).status == 202)
            let all = try await Self.walk(api, Self.resends + "?limit=4", "status", as: .ownKey)
            #expect(all == ["processing"] + Array(repeating: "completed", count: 5))
            let done = try await Self.walk(
                api, Self.resends + "?limit=2&status=completed&merchant_id=303", "job_id", as: .ownKey)
            #expect(done.count == 5)
            let page = try await api.call(.get, Self.resends + "?limit=1")
            let keys = try Self.rows(page)[0].members.map(\.key)
            #expect(
                keys == [
                    "job_id", "status", "merchant_id", "start_time", "end_time", "total", "queued", "failed",
                    "started_at",
                    "updated_at",
                ])
            #expect(try await Self.walk(api, Self.resends, "job_id", as: .otherKey).isEmpty)
            #expect(try await api.call(.get, Self.resends + "?merchant_id=404").status == 422)
            #expect(try await api.call(.get, Self.resends + "?status=PROCESSING").status == 422)
        }
    }
}
