package import HTTPTypes
package import ReenvioModel

/// Who may call an endpoint.
package enum Access: Sendable, Equatable {
    /// No credential.
    case open
    /// Any key.
    case anyKey
    /// Any key with the scope.
    case key(Scope)
    /// Any key with one of the scopes.
    case keyWithOne(of: [Scope])
    /// A resend create: `resend:write`, or also `resend:dry-run` where its body is a dry run. What it costs and needs
    /// is known only once its body was looked at (`docs/contract.md` 4.4).
    case resendKey
    /// An operator key with the scope.
    case operatorKey(Scope)
    /// A user's access token: the endpoints of v3, whose 422 has a message without full stop (`docs/contract.md` 10).
    case token
    /// The credential stands in the body, and the endpoint judges it.
    case signIn

    /// Whether it lets a key in, limits aside.
    func admits(_ caller: Caller) -> Bool {
        (try? check(caller)) != nil
    }

    /// - Throws: 403 for a caller that is no operator, or lacks the scope.
    func check(_ caller: Caller) throws {
        switch self {
        case .open, .resendKey, .token, .signIn, .anyKey: return
        case .operatorKey(let scope):
            guard caller.isOperator else { throw Problem.operatorKeyNeeded }
            try Self.check(caller, has: [scope])
        case .key(let scope): try Self.check(caller, has: [scope])
        case .keyWithOne(let some): try Self.check(caller, has: some)
        }
    }

    /// One of the scopes is enough.
    static func check(_ caller: Caller, has scopes: [Scope]) throws {
        if !scopes.contains(where: caller.may) { throw Problem.missingScope(scopes) }
    }

    /// What a resend needs, counted or dispatched.
    static func resendScopes(isDryRun: Bool) -> [Scope] {
        isDryRun ? [.resendDryRun, .resendWrite] : [.resendWrite]
    }
}

/// Who calls: a key, and with it an account or every account, or a user with a token.
package enum Caller: Sendable, Equatable {
    case key(APIKey)
    case user(User)

    /// Nil for an operator, who acts on every account.
    package var accountID: Int64? {
        switch self {
        case .key(let key): key.accountID
        case .user(let user): user.accountID
        }
    }

    /// How history and audit name it; also what its requests are counted by.
    package var actor: String {
        switch self {
        case .key(let key): "key:\(key.id)"
        case .user(let user): user.actor
        }
    }

    /// Whether it is a key with that scope.
    package func may(_ scope: Scope) -> Bool {
        guard case .key(let key) = self else { return false }
        return key.may(scope)
    }

    package var isOperator: Bool {
        guard case .key(let key) = self else { return false }
        return key.isOperator
    }
}

/// A request that passed every check before its own: the caller is known, the body is read.
package struct Call: Sendable {
    package var caller: Caller?
    /// The body as a JSON object; empty where the endpoint takes none.
    package var body: JSONObject
    package var requestID: String
    /// Where the request came from, for the audit.
    package var address: IPAddress?
    /// The query parameters, decoded, in the order they came.
    package var query: [(name: String, value: String)]
    /// The `Accept` header.
    package var accept: String?
    private var parameters: [String: String]
    private var idempotency: Result<IdempotencyClaim, Faults>?

    package init(
        caller: Caller?, body: JSONObject, requestID: String, address: IPAddress?,
        query: [(name: String, value: String)] = [], accept: String? = nil, parameters: [String: String],
        idempotency: Result<IdempotencyClaim, Faults>? = nil
    ) {
        self.caller = caller
        self.body = body
        self.requestID = requestID
        self.address = address
        self.query = query
        self.accept = accept
        self.parameters = parameters
        self.idempotency = idempotency
    }

    /// How history and audit name who called.
    package var requester: Requester {
        Requester(
            actor: caller?.actor ?? "anonymous", requestID: requestID,
            address: address?.description)
    }

    /// The request's `Idempotency-Key`, if it has one (`docs/contract.md` 13.8).
    /// - Throws: a fault on `idempotency_key`.
    package func claim() throws -> IdempotencyClaim? {
        try idempotency?.get()
    }

    /// A path parameter as text.
    package func parameter(_ name: String) -> String {
        parameters[name] ?? ""
    }

    /// A path parameter as an id; what is no 64-bit integer names nothing (`docs/contract.md` 2.1).
    package func id(_ name: String, orThrow problem: Problem) throws -> Int64 {
        guard let text = parameters[name], let id = JSONNumber(text)?.integer else { throw problem }
        return id
    }

    /// The caller of an endpoint that has one.
    package func requireCaller() throws -> Caller {
        guard let caller else { throw Problem.unauthorized }
        return caller
    }

    /// The user of an endpoint that takes a token.
    package func requireUser() throws -> User {
        guard case .user(let user)? = caller else { throw Problem.unauthorized }
        return user
    }
}

/// One row of the route table, from which routes, 405 answers and later the API description are made.
package struct Endpoint: Sendable {
    package var method: HTTPRequest.Method
    /// Segments; one in braces is a parameter: `/v2/payout/payments/{id}`.
    package var path: String
    package var access: Access
    package var takesBody: Bool
    /// The bucket that a call takes from; nil where calls are not limited.
    package var limit: RateLimits.Kind?
    /// Whether a user with an HMAC key must have signed the body, or the path where there is none
    /// (`docs/contract.md` 9).
    package var isSigned: Bool
    package var handle: @Sendable (Call) async throws -> Answer

    package init(
        _ method: HTTPRequest.Method, _ path: String, _ access: Access, takesBody: Bool = false,
        limit: RateLimits.Kind? = nil, isSigned: Bool = false,
        _ handle: @escaping @Sendable (Call) async throws -> Answer
    ) {
        self.method = method
        self.path = path
        self.access = access
        self.takesBody = takesBody
        self.limit = limit
        self.isSigned = isSigned
        self.handle = handle
    }
}

/// Every endpoint of the server.
package struct RouteTable: Sendable {
    package var endpoints: [Endpoint]

    package init(_ endpoints: [Endpoint]) {
        self.endpoints = endpoints
    }

    /// The methods that a path takes, HEAD with GET; empty for an unknown path.
    package func methods(for path: String) -> [String] {
        let segments = path.split(separator: "/")
        let fitting = endpoints.filter { endpoint in
            let pattern = endpoint.path.split(separator: "/")
            return pattern.count == segments.count
                && zip(pattern, segments).allSatisfy { $0.hasPrefix("{") || $0 == $1 }
        }
        let methods = Set(fitting.map(\.method))
        return methods.union(methods.contains(.get) ? [.head] : []).map(\.rawValue).sorted()
    }
}
