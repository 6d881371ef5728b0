import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// What was sent for one payout, why, and sending it once more (`docs/contract.md` 13.9, 13.10, 13.15).
package struct DeliveryLogRoutes: Sendable {
    private static let path = "/v2/payout/payments/{id}/notifications"

    private let engine: Engine

    package init(_ engine: Engine) {
        self.engine = engine
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.get, Self.path, .key(.payoutsRead), limit: .read, list),
            Endpoint(.get, "/v2/payout/payments/{id}/why", .key(.payoutsRead), limit: .read, why),
            Endpoint(.post, Self.path + "/resend", .key(.resendWrite), limit: .resend, resend),
        ]
    }

    /// The account that the payout must belong to.
    /// - Throws: 404 for a payout of a merchant that the key may not act for.
    private func accountID(_ call: Call, payoutID: Int64) async throws -> Int64? {
        let caller = try call.requireCaller()
        if try await engine.store.isHidden(payoutID: payoutID, from: caller) { throw Problem.payoutNotFound }
        return caller.accountID
    }

    private func list(_ call: Call) async throws -> Answer {
        let id = try call.id("id", orThrow: .payoutNotFound)
        let accountID = try await accountID(call, payoutID: id)
        let log = try await engine.store.deliveryLog(
            payoutID: id, accountID: accountID, now: engine.clock.engine, wall: engine.clock.wall)
        guard let log else { throw Problem.payoutNotFound }
        try QueryReader(call.query, known: []).throwFaults()
        return .json(headers: ["Cache-Control": "no-store"]) { writer in
            writer.array("data") { writer in
                for notification in log { notification.write(into: &writer) }
            }
        }
    }

    private func why(_ call: Call) async throws -> Answer {
        let id = try call.id("id", orThrow: .payoutNotFound)
        let accountID = try await accountID(call, payoutID: id)
        // Whether there is such a payout comes before what is wrong with the question.
        guard try await engine.store.payout(id: id, accountID: accountID) != nil else { throw Problem.payoutNotFound }
        let window = try ResendWindow.optional(call.query)
        let why = try await engine.store.why(
            payoutID: id, accountID: accountID, window: window, policy: engine.options.policy,
            now: engine.clock.engine, wall: engine.clock.wall)
        guard let why else { throw Problem.payoutNotFound }
        return .json(headers: ["Cache-Control": "no-store"]) { why.writeMembers(into: &$0) }
    }

    private func resend(_ call: Call) async throws -> Answer {
        let id = try call.id("id", orThrow: .payoutNotFound)
        var generator = EntropyGenerator(engine.entropy)
        let request = OneResend(
            payoutID: id, accountID: try await accountID(call, payoutID: id),
            publicID: Resend.newJobID(using: &generator), requester: call.requester, claim: try call.claim(),
            trace: Traces.current)
        switch try await engine.resendOne(request) {
        case .enqueued(let webhookID): return Self.answer(webhookID)
        case .replayed(let resendID):
            guard let webhookID = try await engine.store.webhookID(ofOneResend: resendID) else {
                throw Problem.payoutNotFound
            }
            return Self.answer(webhookID, headers: Answer.replayed)
        case .notFound: throw Problem.payoutNotFound
        case .neverNotified: throw Problem.conflict(ResendRefusal.neverNotified.message)
        case .erased: throw Problem.conflict(ResendRefusal.erased.message)
        case .urlRefused: throw Problem.conflict(ResendRefusal.urlRefused.message)
        case .keyReused: throw Problem.idempotencyKeyReused
        }
    }

    private static func answer(_ webhookID: WebhookID, headers: [String: String] = [:]) -> Answer {
        .json(202, headers: headers) { $0.member("webhook_id", webhookID.description) }
    }
}
