import HTTPTypes
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// One resend log over HTTP: with its outcome, its ledger and its cancel (`docs/contract.md` 13.18).
struct LogActionRouteTests {
    private static let path = "/v3/webhooks/resend"
    private static let keys = [
        "id", "resend_type", "status", "object_reference_id", "account_mirror_id", "start_datetime", "end_datetime",
        "user_id", "created_at", "updated_at", "processed_at", "error_message",
    ]

    private static func run(
        _ body: @Sendable @escaping (APIFixture, APIFixture.Credential) async throws -> Void
    ) async throws {
        try await APIFixture.run { api async throws in
            try await body(api, try await api.token(of: try await api.user(id: 246).credentials))
        }
    }

    private static func object(_ text: String) throws -> JSONObject {
        guard case .object(let object) = try JSONParser.parse(Array(text.utf8)) else { throw Fixtures.Missing() }
        return object
    }

    @Test("a log by its number has the twelve keys, and more only where asked for")
    func show() async throws {
        try await Self.run { api, user in
            try await api.store.insertLogs([ResendLog.fixture(second: 1, status: .pending)])
            let plain = try await api.call(.get, Self.path + "/1", as: user)
            #expect(plain.status == 200 && plain.header("Cache-Control") == "no-store")
            #expect(try Self.object(plain.body).members.map(\.key) == Self.keys)
            let more = try Self.object(try await api.call(.get, Self.path + "/1?include=outcome", as: user).body)
            #expect(
                more.members.map(\.key)
                    == Self.keys + ["total", "queued", "failed", "outcome", "ended", "requested_by", "phase"])
            let wrong = try await api.call(.get, Self.path + "/1?include=all", as: user)
            #expect(wrong.status == 422 && wrong.body.hasPrefix(#"{"message":"Validation error","#))
        }
    }

    @Test("another user's log, an unknown one and a number that is none are 404; a key is 401")
    func tenancy() async throws {
        try await Self.run { api, user in
            try await api.store.insertLogs([ResendLog.fixture(second: 1, status: .pending)])
            let other = try await api.token(of: try await api.user(id: 247).credentials)
            for (method, rest) in [(HTTPRequest.Method.get, ""), (.get, "/items"), (.delete, "")] {
                for (id, caller) in [("1", other), ("2", user), ("x", user), ("99999999999999999999", user)] {
                    let reply = try await api.call(method, "\(Self.path)/\(id)\(rest)", as: caller)
                    #expect(reply.status == 404, "\(method) \(id)\(rest)")
                    #expect(reply.body == #"{"message":"Resend log not found."}"#)
                }
                #expect(try await api.call(method, "\(Self.path)/1\(rest)").status == 401)
            }
        }
    }

    @Test("a cancel answers with the log, FAILED and Canceled., once")
    func cancel() async throws {
        try await Self.run { api, user in
            try await api.store.insertLogs([ResendLog.fixture(second: 1, status: .pending)])
            let reply = try await api.call(.delete, Self.path + "/1", as: user)
            let log = try Self.object(reply.body)
            #expect(reply.status == 200 && log.members.map(\.key) == Self.keys)
            #expect(log["status"] == .string("FAILED") && log["error_message"] == .string("Canceled."))
            #expect(log["processed_at"] == log["updated_at"])
            let again = try await api.call(.delete, Self.path + "/1", as: user)
            #expect(again.status == 409 && again.body == #"{"message":"The resend log has already ended."}"#)
            let list = try await api.call(.get, Self.path + "?status=FAILED", as: user)
            #expect(list.body.contains(#""error_message":"Canceled.""#))
        }
    }

    @Test("the ledger goes by pages or whole; every fault of the question is said at once")
    func items() async throws {
        try await Self.run { api, user in
            try await api.store.insertLogs([ResendLog.fixture(second: 1, status: .pending)])
            let merchantID = try #require(try await api.store.logDetails(id: 1)).merchantID
            try await api.store.engine.write(.janitor) { db in
                _ = try db.run(
                    """
                    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5)
                    INSERT INTO resend_failures (merchant_id, resend_id, object_id, registration_id, reason)
                    SELECT $1, 1, i, 7, 'erased' FROM n
                    """, [.int(merchantID)])
            }
            var seen = 0
            var link: String? = "\(Self.path)/1/items?limit=2&outcome=failed"
            while let path = link {
                let page = try Self.object(try await api.call(.get, path, as: user).body)
                #expect(page.members.map(\.key) == ["next", "results"])
                if case .array(let results)? = page["results"] { seen += results.count }
                link = nil
                if case .string(let next)? = page["next"] {
                    link = String(next.dropFirst("https://api.example.com".count))
                }
                if let link { #expect(link.contains("limit=2") && link.contains("outcome=failed")) }
            }
            #expect(seen == 5)
            let csv = try await api.call(.get, Self.path + "/1/items?format=csv", as: user)
            #expect(csv.header("Content-Type") == "text/csv; charset=utf-8")
            #expect(csv.body.split(separator: "\r\n").count == 6)
            #expect(csv.body.hasSuffix(",,7,,failed,0,,erased,\r\n"))
            for (query, fields) in [
                ("outcome=lost", ["outcome"]), ("limit=0&cursor=x", ["limit", "cursor"]), ("cursor=c1", ["cursor"]),
                ("format=xml", ["format"]), ("format=csv&limit=5", ["limit"]), ("limit=1&limit=2", ["limit"]),
                ("outcome=", ["outcome"]),
            ] {
                let reply = try await api.call(.get, Self.path + "/1/items?" + query, as: user)
                #expect(reply.status == 422, "\(query)")
                guard case .object(let errors)? = try Self.object(reply.body)["errors"] else {
                    Issue.record("\(query): \(reply.body)")
                    continue
                }
                #expect(errors.members.map(\.key) == fields, "\(query)")
            }
        }
    }
}
