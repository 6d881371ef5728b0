import HTTPTypes
package import Hummingbird
package import Logging
import NIOCore
package import ReenvioEngine
package import ReenvioModel

/// Carries a request to its endpoint through the checks in the order of `docs/contract.md` 4.4, and every outcome to a
/// response in the contract's shape.
package struct Gateway: Sendable {
    private let authenticator: Authenticator
    let limiter: RateLimiter
    let clientAddress: ClientAddress
    let failedLogins: FailedLogins
    private let clock: any TimeSource

    package init(
        authenticator: Authenticator, limiter: RateLimiter, failedLogins: FailedLogins, clientAddress: ClientAddress,
        clock: any TimeSource
    ) {
        self.authenticator = authenticator
        self.failedLogins = failedLogins
        self.limiter = limiter
        self.clientAddress = clientAddress
        self.clock = clock
    }

    /// Registers every endpoint of the table on a router, and the dashboard's pages where there is one.
    package func router(
        for table: RouteTable, dashboard: Dashboard? = nil, publicURL: PublicURL = PublicURL()
    ) -> Router<APIContext> {
        let router = Router(context: APIContext.self)
        let pages = dashboard?.endpoints ?? []
        router.add(middleware: StrictTransportMiddleware(publicURL: publicURL))
        router.add(middleware: ProblemMiddleware(table: RouteTable(table.endpoints + pages)))
        router.add(middleware: ExpectationMiddleware())
        dashboard?.register(on: router, through: self)
        for endpoint in table.endpoints {
            router.on(RouterPath(endpoint.path), method: endpoint.method) { request, context in
                let answer = try await answer(request, context, endpoint)
                return answer.response(requestID: context.requestID, logger: context.logger)
            }
        }
        return router
    }

    /// A credential that does not verify is 401, wherever that is found out, or 429 where too many fail.
    private func answer(_ request: Request, _ context: APIContext, _ endpoint: Endpoint) async throws -> Answer {
        let address = clientAddress.resolve(peer: context.peer, forwardedFor: forwardedFor(request))
        if endpoint.access == .open { return try await admitted(request, context, endpoint, address) }
        do {
            var answer = try await admitted(request, context, endpoint, address)
            // Nothing that needed a credential is for caches on the way.
            if answer.headers["Cache-Control"] == nil { answer.headers["Cache-Control"] = "no-store" }
            return answer
        } catch let refused as RefusedCredential {
            throw failedLogins.answer(
                refused, from: address, requestID: context.requestID, now: clock.engine, logger: context.logger)
        } catch let faults as Faults where endpoint.access == .token {
            throw Problem.invalid(faults).inV3
        } catch let problem as Problem where endpoint.access == .token {
            throw problem.inV3
        }
    }

    private func admitted(
        _ request: Request, _ context: APIContext, _ endpoint: Endpoint, _ address: IPAddress?
    ) async throws -> Answer {
        let caller = try await authenticate(request, endpoint.access, from: address)
        let body: Body
        if endpoint.access == .resendKey, let caller {
            body = try await admitResend(request, context, caller)
        } else {
            if let caller { try admit(caller, endpoint.access, endpoint.limit) }
            let signer = endpoint.isSigned ? caller : nil
            if endpoint.takesBody {
                body = try await readBody(request, context, signedBy: signer)
            } else {
                body = Body()
                if case .user(let user)? = signer {
                    try await verifySignature(request, ByteBuffer(string: request.uri.path), of: user)
                }
            }
        }
        var parameters: [String: String] = [:]
        for (name, value) in context.parameters { parameters[String(name)] = String(value) }
        let call = Call(
            caller: caller, body: body.object, requestID: context.requestID, address: address,
            query: QueryString.decode(request.uri.query), accept: request.headers[.accept], parameters: parameters,
            idempotency: idempotency(request, endpoint, parameters, caller, body))
        return try await endpoint.handle(call)
    }

    /// An empty key counts as none.
    private func idempotency(
        _ request: Request, _ endpoint: Endpoint, _ parameters: [String: String], _ caller: Caller?, _ body: Body
    ) -> Result<IdempotencyClaim, Faults>? {
        guard let caller, let name = HTTPField.Name("idempotency-key"), let key = request.headers[name], !key.isEmpty
        else { return nil }
        return Result { () throws(Faults) in
            var claim = try IdempotencyClaim(
                accountID: caller.accountID, method: endpoint.method.rawValue,
                path: Self.scope(endpoint.path(with: parameters), caller), key: key,
                body: body.bytes.readableBytesView)
            claim.endedBefore = clock.expiry - .seconds(Limits.idempotencyKeptSeconds)
            return claim
        }
    }

    /// A user sees its own logs only, and no other user's first answer (`docs/contract.md` 7.1).
    private static func scope(_ path: String, _ caller: Caller) -> String {
        if case .user(let user) = caller { "\(path) \(user.actor)" } else { path }
    }

    /// Calls an endpoint for somebody whose credential was judged elsewhere, with the scope that it needs and, where it
    /// `isCounted`, at the cost of its bucket.
    func inner(_ endpoint: Endpoint, _ call: Call, isCounted: Bool) async throws -> Answer {
        let caller = try call.requireCaller()
        if endpoint.access == .resendKey {
            let isDryRun = call.body["dry_run"] == .bool(true)
            try admit(
                caller, .keyWithOne(of: Access.resendScopes(isDryRun: isDryRun)),
                isCounted ? (isDryRun ? .read : .resend) : nil)
        } else {
            try admit(caller, endpoint.access, isCounted ? endpoint.limit : nil)
        }
        return try await endpoint.handle(call)
    }

    /// 403 for the scope, then 429 for the bucket.
    func admit(_ caller: Caller, _ access: Access, _ limit: RateLimits.Kind?) throws {
        try access.check(caller)
        if let limit { try limiter.take(limit, for: caller.actor, now: clock.engine) }
    }

    /// The address that a request comes from.
    func address(of request: Request, _ context: APIContext) -> IPAddress? {
        clientAddress.resolve(peer: context.peer, forwardedFor: forwardedFor(request))
    }

    private func forwardedFor(_ request: Request) -> [String] {
        HTTPField.Name("x-forwarded-for").map { request.headers[values: $0] } ?? []
    }

    /// 401, then 403 for a foreign address.
    private func authenticate(_ request: Request, _ access: Access, from address: IPAddress?) async throws -> Caller? {
        if access == .open || access == .signIn { return nil }
        let caller = try await authenticator.caller(authorization: request.headers[.authorization], access: access)
        guard case .key(let key) = caller, !key.cidrs.isEmpty else { return caller }
        guard let address, key.cidrs.contains(where: { $0.contains(address) }) else { throw Problem.forbidden }
        return caller
    }

    /// A resend create is read first, and counts as a dry run, for scope and bucket, only if it parses as one. What was
    /// wrong with its body is said after that.
    private func admitResend(_ request: Request, _ context: APIContext, _ caller: Caller) async throws -> Body {
        try admit(caller, .keyWithOne(of: Access.resendScopes(isDryRun: true)), nil)
        let body: Result<Body, any Error>
        do {
            body = .success(try await readBody(request, context))
        } catch {
            body = .failure(error)
        }
        let isDryRun = (try? body.get())?.object["dry_run"] == .bool(true)
        try admit(
            caller, .keyWithOne(of: Access.resendScopes(isDryRun: isDryRun)), isDryRun ? .read : .resend)
        return try body.get()
    }

    /// A body as it came, and what it says.
    private struct Body {
        var object = JSONObject()
        var bytes = ByteBuffer()
    }

    /// 415 before 413 before 401 for the `hmac` of a user who has to sign, before 400.
    private func readBody(
        _ request: Request, _ context: APIContext, signedBy signer: Caller? = nil
    ) async throws -> Body {
        guard Self.isJSON(request.headers[.contentType]) else { throw Problem.notJSON }
        try request.refuseEncodedBody()
        if let length = request.headers[.contentLength].flatMap(Int.init), length > Limits.requestBodyBytes {
            throw Problem.bodyTooLarge
        }
        context.wantsBody(of: request)
        let buffer: ByteBuffer
        do {
            buffer = try await request.body.collect(upTo: Limits.requestBodyBytes)
        } catch is NIOTooManyBytesError {
            throw Problem.bodyTooLarge
        } catch {
            // Broken chunks, or a client that went away in the middle: where the next request begins is unknown.
            var problem = Problem.malformedBody("The body ends before its announced end.")
            problem.headers["Connection"] = "close"
            throw problem
        }
        if case .user(let user)? = signer { try await verifySignature(request, buffer, of: user) }
        return Body(object: try Self.object(buffer.readableBytesView), bytes: buffer)
    }

    private static func object(_ bytes: ByteBufferView) throws -> JSONObject {
        let value: JSONValue
        do {
            value = try JSONParser.parse(bytes)
        } catch {
            throw Problem.malformedBody(error.text(in: bytes))
        }
        guard case .object(let object) = value else { throw Problem.malformedBody("The body must be a JSON object.") }
        return object
    }

    /// The `hmac` header over the body's bytes as they came, or over the path where there is no body, if the user has
    /// a key (`docs/contract.md` 9).
    private func verifySignature(_ request: Request, _ signed: ByteBuffer, of user: User) async throws {
        guard let key = try await authenticator.hmacKey(userID: user.id) else { return }
        let shown = HTTPField.Name("hmac").flatMap { request.headers[$0] }
        guard let shown, BodySignature.isValid(shown, of: signed.readableBytesView, key: key) else {
            throw RefusedCredential(shown: "\(user.actor) \(shown ?? "")")
        }
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
        guard let name = HTTPField.Name("traceparent"), let header = request.headers[name],
            let trace = TraceParent(header)
        else { return try await answered(request, context: context, next: next) }
        // The request is a step of its caller's trace, under the name that its answer and its log lines have, too.
        let own = trace.from(spanID: context.requestID)
        var response = try await Traces.$current.withValue(own) {
            try await answered(request, context: context, next: next)
        }
        response.headers[name] = own.text
        return response
    }

    private func answered(
        _ request: Request, context: APIContext, next: (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch {
            let problem = problem(for: error, request)
            problem.log(error, context)
            return Answer(problem).response(requestID: context.requestID, logger: context.logger)
        }
    }

    private func problem(for error: any Error, _ request: Request) -> Problem {
        guard let error = error as? HTTPError else { return Problem(error) }
        guard error.status == .notFound else { return Problem(status: error.status.code, message: "Bad request.") }
        let methods = table.methods(for: request.uri.path)
        return methods.isEmpty ? .unknownPath : .methodNotAllowed(methods)
    }
}

extension Problem {
    /// One line for what is our fault, with the id that the answer has, so that either is found by the other.
    func log(_ error: any Error, _ context: APIContext) {
        guard status >= 500 else { return }
        var metadata: Logger.Metadata = [
            "request": "\(context.requestID)", "status": "\(status)", "error": "\(error)",
        ]
        metadata["trace"] = Traces.current.map { "\($0.traceID)" }
        context.logger.error("request failed", metadata: metadata)
    }
}

extension Endpoint {
    /// The route and its parameters as one path: what an `Idempotency-Key` belongs to, however a request spelled it.
    fileprivate func path(with parameters: [String: String]) -> String {
        parameters.reduce(path) { $0.replacing("{\($1.key)}", with: $1.value) }
    }
}

extension Request {
    /// - Throws: 415 for a body that is compressed or otherwise encoded: none is ever decoded.
    func refuseEncodedBody() throws {
        let codings = headers[values: .contentEncoding].joined(separator: ",").split(separator: ",")
        let isPlain = codings.allSatisfy { $0.filter { !$0.isWhitespace }.lowercased() == "identity" }
        if !isPlain { throw Problem.encodedBody }
    }
}

extension StringProtocol {
    fileprivate func trimmingSuffix(while predicate: (Character) -> Bool) -> SubSequence {
        var end = endIndex
        while end > startIndex, predicate(self[index(before: end)]) { end = index(before: end) }
        return self[..<end]
    }
}
