import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Resends of v3: asked for by a user, one object or a range (`docs/contract.md` 6).
package struct ResendLogRoutes: Sendable {
    private let engine: Engine

    package init(_ engine: Engine) {
        self.engine = engine
    }

    package var endpoints: [Endpoint] {
        [Endpoint(.post, "/v3/webhooks/resend", .token, takesBody: true, limit: .resend, create)]
    }

    private func create(_ call: Call) async throws -> Answer {
        let user = try call.requireUser()
        let claim = try call.claim()
        if let claim, case .otherBody = try await engine.store.idempotencyState(claim, now: engine.clock.wall) {
            throw Problem.idempotencyKeyReused
        }
        let request = try ResendLogRequest.parse(call.body)
        let opening = LogOpening(user: user, requester: call.requester, claim: claim, trace: Traces.current)
        switch try await engine.openLog(request, opening) {
        case .opened(let log): return .json(201) { log.write(into: &$0) }
        case .replayed(let log): return .json(201, headers: Answer.replayed) { log.write(into: &$0) }
        case .objectNotFound: throw Problem.objectNotFound
        case .accountNotFound: throw Problem.notFound("Account not found.")
        case .accountClosed: throw Problem.accountClosed
        case .keyReused: throw Problem.idempotencyKeyReused
        }
    }
}
