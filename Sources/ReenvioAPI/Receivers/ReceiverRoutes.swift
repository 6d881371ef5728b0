import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Receivers: how they fare, pause and resume (`docs/contract.md` 13.11).
package struct ReceiverRoutes: Sendable {
    private static let path = "/v2/receivers"

    private let engine: Engine
    private let publicURL: PublicURL

    package init(_ engine: Engine, publicURL: PublicURL) {
        self.engine = engine
        self.publicURL = publicURL
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.get, Self.path, .key(.payoutsRead), limit: .read, list),
            Endpoint(.post, Self.path + "/{id}/pause", .key(.receiversWrite), limit: .write, pause),
            Endpoint(.post, Self.path + "/{id}/resume", .key(.receiversWrite), limit: .write, resume),
        ]
    }

    private func list(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        var reader = QueryReader(call.query, known: ["merchant_id"] + QueryReader.pageNames)
        let merchantID = reader.integer("merchant_id")
        let page = reader.page()
        if let merchantID, try await engine.store.merchant(id: merchantID, for: caller) == nil {
            reader.faults.add("merchant_id", "The merchant_id is not associated with your account.")
        }
        try reader.throwFaults()
        let found = try await engine.store.listReceivers(
            merchantID: merchantID ?? caller.onlyMerchantID, accountID: caller.accountID, merchants: caller.merchants,
            page)
        return .json(headers: ["Cache-Control": "no-store"]) { writer in
            writer.array("data") { writer in
                for receiver in found.receivers { writer.object { receiver.writeMembers(into: &$0) } }
            }
            writer.member("next", publicURL.next(Self.path, call, cursor: found.next, filters: ["merchant_id"]))
        }
    }

    private func pause(_ call: Call) async throws -> Answer {
        let receiver = try await engine.pauseReceiver(
            id: try await id(call), accountID: try call.requireCaller().accountID, by: call.requester)
        return try Self.answer(receiver)
    }

    private func resume(_ call: Call) async throws -> Answer {
        let receiver = try await engine.resumeReceiver(
            id: try await id(call), accountID: try call.requireCaller().accountID, by: call.requester)
        return try Self.answer(receiver)
    }

    private static let unknown = Problem.notFound("Receiver not found.")

    private func id(_ call: Call) async throws -> Int64 {
        let id = try call.id("id", orThrow: Self.unknown)
        if try await engine.store.isHidden(receiverID: id, from: try call.requireCaller()) { throw Self.unknown }
        return id
    }

    private static func answer(_ receiver: Receiver?) throws -> Answer {
        guard let receiver else { throw unknown }
        return .json(headers: ["Cache-Control": "no-store"]) { receiver.writeMembers(into: &$0) }
    }
}
