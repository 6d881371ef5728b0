import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Signing in: a client id and secret for an access token (`docs/contract.md` 9). The path ends with a slash or not;
/// the router takes both for the same.
package struct TokenRoutes: Sendable {
    private let engine: Engine
    private let tokens: AccessTokens
    private let limiter: RateLimiter
    private let audit: CollapsedAudit

    package init(_ engine: Engine, tokens: AccessTokens, limiter: RateLimiter, audit: CollapsedAudit) {
        self.engine = engine
        self.tokens = tokens
        self.limiter = limiter
        self.audit = audit
    }

    package var endpoints: [Endpoint] {
        [Endpoint(.post, "/v2/finance/auth-token", .signIn, takesBody: true, signIn)]
    }

    private func signIn(_ call: Call) async throws -> Answer {
        var fields = FieldReader(call.body)
        let clientID = fields.string("client_id", required: true)
        let secret = fields.string("client_secret", required: true)
        try fields.throwFaults()
        guard let clientID, let secret,
            let user = try await engine.store.user(clientID: clientID, secretHash: ClientCredentials.hash(secret)),
            user.isActive
        else { throw RefusedCredential(shown: "\(clientID ?? "") \(secret ?? "")") }
        try limiter.take(.signIn, for: user.actor, now: engine.clock.engine)
        let token = try await tokens.issue(userID: user.id)
        var requester = call.requester
        requester.actor = user.actor
        let (by, now) = (requester, engine.clock.wall)
        try await audit.note("user.sign-in", by: by, now: now) { repeated in
            try await engine.store.recordSignIn(
                user, parameters: CollapsedAudit.text(repeated), by: by, now: now)
        }
        return .json(headers: ["Cache-Control": "no-store"]) { writer in
            writer.member("worked", true)
            writer.member("access_token", token)
        }
    }
}
