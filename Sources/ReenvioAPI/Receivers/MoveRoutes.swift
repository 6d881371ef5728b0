import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Other URLs for payouts that exist: all of a merchant's at one origin, or that of one payout (`docs/contract.md`
/// 13.16).
package struct MoveRoutes: Sendable {
    private let engine: Engine
    private let people: PeopleShown

    package init(_ engine: Engine, audit: CollapsedAudit) {
        self.engine = engine
        people = PeopleShown(engine, audit: audit)
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(
                .post, "/v2/merchants/{id}/notification-urls/move", .operatorKey(.tenantsWrite), takesBody: true,
                limit: .write, move),
            Endpoint(
                .patch, "/v2/payout/payments/{id}", .operatorKey(.tenantsWrite), takesBody: true, limit: .write,
                setURL),
        ]
    }

    private func move(_ call: Call) async throws -> Answer {
        let unknown = Problem.notFound("Merchant not found.")
        let id = try call.id("id", orThrow: unknown)
        guard try await engine.store.merchant(id: id, accountID: nil) != nil else { throw unknown }
        let move = try OriginMove.parse(call.body, merchantID: id, policy: engine.options.policy)
        let moved = try await engine.moveOrigin(move, by: call.requester)
        return .json { writer in moved.writeMembers(of: move, into: &writer) }
    }

    private func setURL(_ call: Call) async throws -> Answer {
        let id = try call.id("id", orThrow: .payoutNotFound)
        guard try await engine.store.payout(id: id, accountID: nil) != nil else { throw Problem.payoutNotFound }
        var fields = FieldReader(call.body)
        let url = fields.receiverURL("notification_url", required: true, policy: engine.options.policy)
        try fields.throwFaults()
        guard let url else { throw Problem.invalid(fields.faults) }
        guard try await engine.setPayoutURL(id: id, url, by: call.requester),
            let payout = try await engine.store.payout(id: id, accountID: nil)
        else { throw Problem.payoutNotFound }
        let shown = people.payout(payout, for: try call.requireCaller())
        return .json { shown.writeMembers(into: &$0) }
    }
}
