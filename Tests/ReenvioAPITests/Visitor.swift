import HTTPTypes
import ReenvioAPI
import Testing

/// A browser at the dashboard, as far as tests without a socket need one: it keeps cookies and reads form tokens.
final class Visitor {
    private let api: APIFixture
    private var cookies: [String: String] = [:]
    /// The hidden token of the page seen last.
    var token = ""

    init(_ api: APIFixture) {
        self.api = api
    }

    var sessionCookie: String? {
        get { cookies["reenvio_session"] }
        set { cookies["reenvio_session"] = newValue }
    }

    @discardableResult
    func get(_ path: String) async throws -> APIFixture.Reply {
        note(try await api.call(.get, path, as: .none, contentType: nil, headers: headers))
    }

    @discardableResult
    func post(
        _ path: String, _ fields: [(String, String)] = [], token: String? = nil,
        contentType: String = "application/x-www-form-urlencoded"
    ) async throws -> APIFixture.Reply {
        let form = fields + [("token", token ?? self.token)]
        let body = form.map { "\($0.0)=\(QueryString.encode($0.1))" }.joined(separator: "&")
        return note(try await api.call(.post, path, body, as: .none, contentType: contentType, headers: headers))
    }

    /// - Throws: where the key is refused.
    func signIn(as credential: APIFixture.Credential) async throws {
        try await get("/dashboard")
        let reply = try await post("/dashboard/sign-in", [("key", api.keyText(credential))])
        #expect(reply.status == 303 && reply.header("location") == "/dashboard")
        try await get("/dashboard/payouts")
    }

    private var headers: [String: String] {
        cookies.isEmpty ? [:] : ["Cookie": cookies.map { "\($0.key)=\($0.value)" }.joined(separator: "; ")]
    }

    private func note(_ reply: APIFixture.Reply) -> APIFixture.Reply {
        if let pair = reply.header("set-cookie")?.split(separator: ";").first?.split(separator: "=", maxSplits: 1) {
            cookies[String(pair[0])] = pair.count > 1 ? String(pair[1]) : nil
        }
        if let field = reply.body.firstRange(of: "name=\"token\" value=\"") {
            token = String(reply.body[field.upperBound...].prefix { $0 != "\"" })
        }
        return reply
    }
}
