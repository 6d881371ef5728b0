package import ReenvioModel
import ReenvioStore

/// An answer that is not the one asked for: the only mapping from errors to HTTP (`docs/contract.md` 10).
package struct Problem: Error, Equatable, Sendable {
    package var status: Int
    package var message: String
    package var errors = Faults()
    package var headers: [String: String] = [:]
    /// A word for programs beside the message (`docs/contract.md` 10).
    package var code: String?

    /// What was wrong with a body that is no JSON object, and where (`docs/contract.md` 10).
    package static func malformedBody(_ text: String) -> Problem {
        Problem(status: 400, message: "Malformed JSON body.", errors: Faults("body", text))
    }

    package static let unauthorized = Problem(
        status: 401, message: "Unauthorized", headers: ["WWW-Authenticate": "Bearer"]
    )
    /// A token that is there, but not valid: clients of v3 look at the code.
    package static let tokenNotValid: Problem = {
        var problem = unauthorized
        problem.code = "token_not_valid"
        return problem
    }()
    /// A foreign address; it learns no more.
    package static let forbidden = Problem(status: 403, message: "This key may not do that.")
    package static let operatorKeyNeeded = Problem(
        status: 403, message: "This key may not do that.",
        errors: Faults("scope", "Only an operator key may do that."))
    package static let unknownPath = Problem(status: 404, message: "Not found.")
    package static let payoutNotFound = Problem(status: 404, message: "Payout not found.")
    package static let bodyTooLarge = Problem(
        status: 413, message: "The request body must not be larger than 1 MiB.", headers: ["Connection": "close"]
    )
    package static let notJSON = Problem(status: 415, message: "The request body must be JSON.")
    package static let encodedBody = Problem(
        status: 415, message: "The request body must be sent as it is, without a Content-Encoding.",
        headers: ["Accept-Encoding": "identity"])
    package static let expectationFailed = Problem(
        status: 417, message: "The only expectation that is met is 100-continue.", headers: ["Connection": "close"])
    package static let idempotencyKeyReused = Problem.invalid(
        Faults("idempotency_key", "The idempotency_key has already been used with another body.")
    )
    package static let accountNotFound = Problem(status: 404, message: "Account not found.")
    package static let accountClosed = Problem(status: 400, message: "Account is closed.")
    package static let internalError = Problem(status: 500, message: "Internal server error.")
    package static let unavailable = Problem(status: 503, message: "Service unavailable.")

    package static func tooManyRequests(retryAfterSeconds: Int64) -> Problem {
        Problem(status: 429, message: "Too many requests.", headers: ["Retry-After": String(retryAfterSeconds)])
    }

    package static func notFound(_ message: String) -> Problem { Problem(status: 404, message: message) }
    package static func conflict(_ message: String) -> Problem { Problem(status: 409, message: message) }

    /// Any one of these scopes would do.
    package static func missingScope(_ scopes: [Scope]) -> Problem {
        let names = scopes.map(\.rawValue).joined(separator: " or ")
        return Problem(
            status: 403, message: "This key may not do that.",
            errors: Faults("scope", "The key lacks the scope \(names)."))
    }

    package static func methodNotAllowed(_ allowed: [String]) -> Problem {
        Problem(status: 405, message: "Method not allowed.", headers: ["Allow": allowed.joined(separator: ", ")])
    }

    package static func invalid(_ faults: Faults) -> Problem {
        Problem(status: 422, message: "Validation error.", errors: faults)
    }

    /// The same fault in the words of v3, whose 422 has no full stop.
    package var inV3: Problem {
        guard status == 422, message == "Validation error." else { return self }
        var problem = self
        problem.message = "Validation error"
        return problem
    }

    package init(status: Int, message: String, errors: Faults = Faults(), headers: [String: String] = [:]) {
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = headers
    }

    /// No detail of an unexpected error ever leaves the server.
    package init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let refused as RefusedCredential: self = refused.problem
        case let faults as Faults: self = .invalid(faults)
        case StoreError.unavailable, StoreError.locked: self = .unavailable
        default: self = .internalError
        }
    }

    package var body: [UInt8] {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("message", message)
            if let code { writer.member("code", code) }
            if !errors.isEmpty { writer.member("errors") { errors.write(into: &$0) } }
        }
        return writer.bytes
    }
}
