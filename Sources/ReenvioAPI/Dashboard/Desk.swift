import HTTPTypes
import ReenvioEngine
import ReenvioModel

/// What the pages work with: the engine for what only they show, and the endpoints for everything else.
struct Desk: Sendable {
    let engine: Engine
    let endpoints: RouteTable
    let publicURL: PublicURL
    let streams: LiveStreams
    let audit: CollapsedAudit

    /// Calls an endpoint as the visitor.
    /// - Throws: the problem that it would answer.
    func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: JSONObject = JSONObject(),
        query: [(name: String, value: String)] = [], as visit: Visit
    ) async throws -> Answer {
        guard let (endpoint, parameters) = find(method, path) else { throw Problem.unknownPath }
        let call = Call(
            caller: visit.caller, body: body, requestID: visit.requestID, address: visit.address, query: query,
            parameters: parameters)
        return try await visit.gateway.inner(endpoint, call, isCounted: method != .get)
    }

    /// The same, its answer read.
    func ask(
        _ method: HTTPRequest.Method, _ path: String, _ body: JSONObject = JSONObject(),
        query: [(name: String, value: String)] = [], as visit: Visit
    ) async throws -> JSONObject {
        let answer = try await send(method, path, body, query: query, as: visit)
        return (try? JSONParser.parse(answer.body))?.object ?? JSONObject()
    }

    private func find(_ method: HTTPRequest.Method, _ path: String) -> (Endpoint, [String: String])? {
        let segments = path.split(separator: "/")
        for endpoint in endpoints.endpoints where endpoint.method == method {
            let pattern = endpoint.path.split(separator: "/")
            guard pattern.count == segments.count else { continue }
            var parameters: [String: String] = [:]
            let fits = zip(pattern, segments).allSatisfy { name, value in
                guard name.hasPrefix("{") else { return name == value }
                parameters[String(name.dropFirst().dropLast())] = String(value)
                return true
            }
            if fits { return (endpoint, parameters) }
        }
        return nil
    }

    /// The call that does the same as a page, for a shell; the key stands in a variable there.
    func curl(
        _ method: HTTPRequest.Method, _ path: String, query: [(name: String, value: String)] = [],
        _ body: JSONObject? = nil
    ) -> String {
        var text = "curl -s"
        if method != .get, body == nil || method != .post { text += " -X \(method.rawValue)" }
        text += " \(Self.quoted(publicURL.link(path, query))) -H \"Authorization: Bearer $KEY\""
        if let body {
            var writer = JSONWriter()
            writer.value(.object(body))
            text += " --json \(Self.quoted(String(decoding: writer.bytes, as: UTF8.self)))"
        }
        return text
    }

    private static func quoted(_ text: String) -> String {
        "'" + text.replacing("'", with: "'\\''") + "'"
    }
}
