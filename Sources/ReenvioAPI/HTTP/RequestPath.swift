import HTTPTypes
package import Hummingbird
import ReenvioModel

/// The path of a request in the one spelling that is routed. Escaped unreserved characters mean themselves (RFC 3986
/// 6.2.2.2); everything else that a proxy and this server might read differently names nothing.
enum RequestPath {
    /// A path that no route takes.
    static let nowhere = "/."
    /// The only paths that may also end with a slash.
    private static let withSlash: Set<String> = ["/v2/finance/auth-token", "/dashboard"]

    /// Nil for a path with empty or dot segments, an escaped slash, or a slash at an end where none is documented.
    static func canonical(_ given: String) -> String? {
        let hasEscapes = given.utf8.contains(UInt8(ascii: "%"))
        let path = hasEscapes ? unescaped(given) : given
        if path == "/" || path == "*" { return path }
        guard path.utf8.first == UInt8(ascii: "/") else { return nil }
        if hasEscapes, path.uppercased().contains("%2F") { return nil }
        if path.utf8.last == UInt8(ascii: "/") {
            let shorter = String(path.dropLast())
            return withSlash.contains(shorter) ? shorter : nil
        }
        return hasPlainSegments(path) ? path : nil
    }

    /// Byte by byte: every request passes here.
    private static func hasPlainSegments(_ path: String) -> Bool {
        var length = 0
        var dots = 0
        func isPlain() -> Bool { length > 0 && (length > 2 || dots < length) }
        for byte in path.utf8.dropFirst() {
            if byte == UInt8(ascii: "/") {
                if !isPlain() { return false }
                (length, dots) = (0, 0)
            } else {
                length += 1
                if byte == UInt8(ascii: ".") { dots += 1 }
            }
        }
        return isPlain()
    }

    private static func unescaped(_ path: String) -> String {
        var out: [UInt8] = []
        var rest = path.utf8[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let value = QueryString.hexByte(rest.prefix(2)), isUnreserved(value) {
                out.append(value)
                rest = rest.dropFirst(2)
            } else {
                out.append(byte)
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
            || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || "-._~".utf8.contains(byte)
    }
}

/// Routes a request by the canonical spelling of its path; one that has none is routed to where nothing is.
package struct PathResponder<Next: HTTPResponder>: HTTPResponder where Next.Context == APIContext {
    let next: Next

    package func respond(to request: Request, context: APIContext) async throws -> Response {
        let given = request.uri.path
        let path = RequestPath.canonical(given) ?? RequestPath.nowhere
        if path == given { return try await next.respond(to: request, context: context) }
        var head = request.head
        head.path = path + (request.uri.query.map { "?\($0)" } ?? "")
        return try await next.respond(to: Request(head: head, body: request.body), context: context)
    }
}

/// Answers HEAD as GET, without the body (RFC 9110 9.3.2). A body that would be streamed is let go unread.
package struct HeadResponder<Next: HTTPResponder>: HTTPResponder where Next.Context == APIContext {
    let next: Next

    package func respond(to request: Request, context: APIContext) async throws -> Response {
        guard request.method == .head else { return try await next.respond(to: request, context: context) }
        var head = request.head
        head.method = .get
        let response = try await next.respond(to: Request(head: head, body: request.body), context: context)
        var fields = response.headers
        let length = response.body.contentLength
        fields[.contentLength] = length.map { String($0) }
        var answer = Response(status: response.status, headers: fields)
        answer.headers[.contentLength] = fields[.contentLength]
        return answer
    }
}

/// Refuses what a client expects of the server beyond `100-continue` (RFC 9110 10.1.1).
struct ExpectationMiddleware: RouterMiddleware {
    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        if let expectation = request.headers[.expect], expectation.lowercased() != "100-continue" {
            throw Problem.expectationFailed
        }
        return try await next(request, context)
    }
}
