import HTTPTypes
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The list of resend logs over HTTP (`docs/contract.md` 7).
struct LogRouteTests {
    private static let path = "/v3/webhooks/resend"
    private static let link = "https://api.example.com/v3/webhooks/resend"

    private static func run(
        _ body: @Sendable @escaping (APIFixture, APIFixture.Credential) async throws -> Void
    ) async throws {
        try await APIFixture.run { api async throws in
            try await body(api, try await api.token(of: try await api.user(id: 246).credentials))
        }
    }

    @Test("a range that completed and one object that failed, as the published example shows them")
    func example() async throws {
        try await Self.run { api, user in
            let failed = ResendLog(
                id: 0, category: .cashOut, status: .failed, objectID: 66_300_134, mirrorID: nil, window: nil,
                userID: 246, createdAt: Timestamp(seconds: 1_778_494_805), updatedAt: Timestamp(seconds: 1_778_495_125),
                processedAt: Timestamp(seconds: 1_778_495_125),
                errorMessage: "Transaction webhook could not be resent: external service unavailable")
            let completed = ResendLog(
                id: 0, category: .cashIn, status: .completed, objectID: nil, mirrorID: 42,
                window: ResendWindow(startSeconds: 1_777_593_600, endSeconds: 1_778_543_999), userID: 246,
                createdAt: Timestamp(seconds: 1_778_573_730), updatedAt: Timestamp(seconds: 1_778_573_745),
                processedAt: Timestamp(seconds: 1_778_573_745))
            try await api.store.insertLogs([failed, completed])
            let reply = try await api.call(.get, Self.path, as: user)
            #expect(reply.status == 200)
            #expect(reply.header("Cache-Control") == "no-store")
            let expected =
                #"{"next":null,"previous":null,"results":["#
                + #"{"id":2,"resend_type":"CASHIN","status":"COMPLETED","object_reference_id":null,"#
                + #""account_mirror_id":42,"start_datetime":"2026-05-01T00:00:00Z","#
                + #""end_datetime":"2026-05-11T23:59:59Z","user_id":246,"created_at":"2026-05-12T08:15:30Z","#
                + #""updated_at":"2026-05-12T08:15:45Z","processed_at":"2026-05-12T08:15:45Z","error_message":null},"#
                + #"{"id":1,"resend_type":"CASHOUT","status":"FAILED","object_reference_id":"66300134","#
                + #""account_mirror_id":null,"start_datetime":null,"end_datetime":null,"user_id":246,"#
                + #""created_at":"2026-05-11T10:20:05Z","updated_at":"2026-05-11T10:25:25Z","#
                + #""processed_at":"2026-05-11T10:25:25Z","#
                + #""error_message":"Transaction webhook could not be resent: external service unavailable"}]}"#
            #expect(reply.body == expected)
        }
    }

    @Test("links name the last and the first row shown, in the contract's order, and keep limit and filters")
    func links() async throws {
        try await Self.run { api, user in
            let logs = (1...5).map { ResendLog.fixture(second: Int64($0), status: .failed, object: 5, mirror: 42) }
            try await api.store.insertLogs(logs)
            func links(_ query: String) async throws -> [JSONValue?] {
                let body = try await api.call(.get, Self.path + query, as: user).body
                guard case .object(let page) = try JSONParser.parse(Array(body.utf8)) else { return [] }
                #expect(page.members.map(\.key) == ["next", "previous", "results"])
                return [page["next"], page["previous"]]
            }
            #expect(try await links("") == [.null, .null])
            func link(_ second: Int, _ direction: String, _ rest: String) -> JSONValue {
                .string(
                    "\(Self.link)?cursor_datetime=2026-03-24T08:00:0\(second)Z&cursor_id=\(second)"
                        + "&cursor_direction=\(direction)&\(rest)")
            }
            #expect(try await links("?limit=2") == [link(4, "NEXT", "limit=2"), .null])
            let filters = "limit=2&status=FAILED&object_reference_id=5&account_mirror_id=42"
            let middle = "cursor_id=4&cursor_datetime=2026-03-24T08:00:04Z"
            #expect(
                try await links("?account_mirror_id=42&status=FAILED&\(middle)&limit=2&object_reference_id=5")
                    == [link(2, "NEXT", filters), link(3, "PREVIOUS", filters)])
            #expect(
                try await links(
                    "?cursor_id=1&cursor_datetime=2026-03-24T05:00:01-03:00&cursor_direction=PREVIOUS&limit=3")
                    == [link(2, "NEXT", "limit=3"), link(4, "PREVIOUS", "limit=3")])
            #expect(
                try await links("?cursor_id=3&cursor_datetime=2026-03-24T08%3A00%3A03.000Z&cursor_direction=PREVIOUS")
                    == [link(4, "NEXT", "limit=20"), .null])
            #expect(
                try await links("?cursor_id=2&cursor_datetime=2026-03-24T08:00:02%2B00:00")
                    == [.null, link(1, "PREVIOUS", "limit=20")])
        }
    }

    @Test("following next to the end and previous back, as a client does, shows each row once")
    func following() async throws {
        try await Self.run { api, user in
            try await api.store.insertLogs((0..<23).map { ResendLog.fixture(second: Int64($0 / 5)) })
            var link: String? = "\(Self.link)?limit=4"
            var last: String?
            var down: [Int64] = []
            while let url = link {
                let page = try await Self.page(api, user, url)
                down += page.ids
                last = url
                link = page.next
            }
            #expect(down == (1...23).reversed())
            var up: [Int64] = []
            link = last
            while let url = link {
                let page = try await Self.page(api, user, url)
                up = page.ids + up
                link = page.previous
            }
            #expect(up == down)
        }
    }

    private static func page(
        _ api: APIFixture, _ user: APIFixture.Credential, _ url: String
    ) async throws -> (ids: [Int64], next: String?, previous: String?) {
        let reply = try await api.call(.get, String(url.dropFirst("https://api.example.com".count)), as: user)
        #expect(reply.status == 200)
        guard case .object(let page) = try JSONParser.parse(Array(reply.body.utf8)),
            case .array(let results)? = page["results"]
        else { return ([], nil, nil) }
        func text(_ value: JSONValue?) -> String? {
            if case .string(let text)? = value { text } else { nil }
        }
        let ids = results.compactMap { row -> Int64? in
            guard case .object(let log) = row, case .number(let id)? = log["id"] else { return nil }
            return id.integer
        }
        return (ids, text(page["next"]), text(page["previous"]))
    }

    @Test("a user sees its own logs only, though others share the account; a foreign account is an empty list")
    func tenancy() async throws {
        try await Self.run { api, user in
            try await api.store.insertLogs([.fixture(object: 5, mirror: 303), .fixture(user: 247, mirror: 303)])
            let other = try await api.token(of: try await api.user(id: 247).credentials)
            #expect(try await Self.page(api, user, Self.link).ids == [1])
            #expect(try await Self.page(api, other, Self.link).ids == [2])
            #expect(try await Self.page(api, user, "\(Self.link)?account_mirror_id=404").ids == [])
            #expect(try await api.call(.get, Self.path, as: .none).status == 401)
            #expect(try await api.call(.get, Self.path, as: .ownKey).status == 401)
            #expect(try await api.call(.get, Self.path, as: .operatorKey).status == 401)
        }
    }

    @Test("a bad parameter is 422 with the words of v3")
    func invalid() async throws {
        try await Self.run { api, user in
            let reply = try await api.call(.get, Self.path + "?limit=101&cursor_id=7", as: user)
            #expect(reply.status == 422)
            #expect(
                reply.body
                    == #"{"message":"Validation error","errors":{"#
                    + #""limit":["The limit field must be between 1 and 100."],"#
                    + #""cursor_datetime":["The cursor_datetime field is required with cursor_id."]}}"#)
        }
    }
}
