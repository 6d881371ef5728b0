import HTTPTypes
package import Hummingbird
package import Logging
import NIOCore
package import ReenvioModel

/// Carries a request to its endpoint through the checks in the order of `docs/contract.md` 4.4, and every outcome to a
/// response in the contract's shape.
package struct Gateway: Sendable {
    private let authenticator: Authenticator

    package init(authenticator: Authenticator) {
        self.authenticator = authenticator
    }

    /// Registers every endpoint of the table on a router.
    package func router(for table: RouteTable) -> Router<APIContext> {
        let router = Router(context: APIContext.self)
        router.add(middleware: ProblemMiddleware(table: table))
        for endpoint in table.endpoints {
            router.on(RouterPath(endpoint.path), method: endpoint.method) { request, context in
                let answer = try await answer(request, context, endpoint)
                return answer.response(requestID: context.requestID)
            }
        }
        return router
    }

    private func answer(_ request: Request, _ context: APIContext, _ endpoint: Endpoint) async throws -> Answer {
        let caller = try await caller(request, endpoint.access)
        let body = endpoint.takesBody ? try await readBody(request) : JSONObject()
        var parameters: [String: String] = [:]
        for (name, value) in context.parameters { parameters[String(name)] = String(value) }
        let call = Call(caller: caller, body: body, requestID: context.requestID, parameters: parameters)
        return try await endpoint.handle(call)
    }

    private func caller(_ request: Request, _ access: Access) async throws -> Caller? {
        if access == .open { return nil }
        let caller = try await authenticator.caller(authorization: request.headers[.authorization])
        if caller.key.isOperator { return caller }
        guard case .key(let scope) = access, caller.key.scopes.contains(scope) else { throw Problem.forbidden }
        return caller
    }

    /// 415 before 413 before 400.
    private func readBody(_ request: Request) async throws -> JSONObject {
        guard Self.isJSON(request.headers[.contentType]) else { throw Problem.notJSON }
        if let length = request.headers[.contentLength].flatMap(Int.init), length > Limits.requestBodyBytes {
            throw Problem.bodyTooLarge
        }
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: Limits.requestBodyBytes)
        } catch is NIOTooManyBytesError {
            throw Problem.bodyTooLarge
        }
        guard let value = try? JSONParser.parse(buffer.readableBytesView), case .object(let object) = value else {
            throw Problem.malformedBody
        }
        return object
    }

    /// An absent content type counts as JSON; `application/json` and `application/*+json` pass.
    static func isJSON(_ contentType: String?) -> Bool {
        guard let contentType else { return true }
        let type = contentType.prefix { $0 != ";" }.trimmingSuffix { $0 == " " }.lowercased()
        return type == "application/json" || (type.hasPrefix("application/") && type.hasSuffix("+json"))
    }
}

/// Turns whatever is thrown below it into the contract's error body, unknown paths and methods included.
struct ProblemMiddleware: RouterMiddleware {
    let table: RouteTable

    func handle(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let problem = problem(for: error, request)
            if problem.status >= 500 {
                context.logger.error(
                    "request failed", metadata: ["status": "\(problem.status)", "error": "\(error)"])
            }
            return Answer(problem).response(requestID: context.requestID)
        }
    }

    private func problem(for error: any Error, _ request: Request) -> Problem {
        guard let error = error as? HTTPError else { return Problem(error) }
        guard error.status == .notFound else { return Problem(status: error.status.code, message: "Bad request.") }
        let methods = table.methods(for: request.uri.path)
        return methods.isEmpty ? .unknownPath : .methodNotAllowed(methods)
    }
}

extension StringProtocol {
    fileprivate func trimmingSuffix(while predicate: (Character) -> Bool) -> SubSequence {
        var end = endIndex
        while end > startIndex, predicate(self[index(before: end)]) { end = index(before: end) }
        return self[..<end]
    }
}
