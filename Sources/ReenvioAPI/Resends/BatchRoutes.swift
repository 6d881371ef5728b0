import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Resends over a range longer than one window, or over several merchants (`docs/contract.md` 13.17).
package struct BatchRoutes: Sendable {
    static let path = "/v2/payout/notifications/resend-batches"
    static let unknown = Problem.notFound("Resend batch not found or expired.")
    /// As for jobs: a key that may dispatch batches may also follow them.
    static let readers = ResendRoutes.readers

    private let engine: Engine
    private let publicURL: PublicURL

    package init(_ engine: Engine, publicURL: PublicURL) {
        self.engine = engine
        self.publicURL = publicURL
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.post, Self.path, .resendKey, takesBody: true, create),
            Endpoint(.get, Self.path, Self.readers, limit: .read, list),
            Endpoint(.get, Self.path + "/{batch_id}", Self.readers, limit: .read, show),
            Endpoint(.delete, Self.path + "/{batch_id}", .key(.resendWrite), limit: .write, cancel),
        ]
    }

    private func create(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        var request = try ResendBatchRequest.parse(call.body)
        if request.merchants == .all, let own = caller.merchants { request.merchants = .named(own.sorted()) }
        try await check(request.merchants, caller)
        let tooMany = Problem.invalid(Faults("merchant_ids", ResendBatchRequest.tooManyMerchants))
        if request.dryRun {
            guard let count = try await engine.store.countBatch(request, accountID: caller.accountID) else {
                throw tooMany
            }
            return .json { count.writeMembers(into: &$0) }
        }
        switch try await engine.openBatch(request, accountID: caller.accountID, by: call.requester) {
        case .opened(let batch): return .json(202) { batch.writeMembers(into: &$0) }
        case .existing(let batch): return .json(200, headers: Answer.replayed) { batch.writeMembers(into: &$0) }
        case .tooManyMerchants: throw tooMany
        }
    }

    /// Unknown and foreign ids look alike (`docs/contract.md` 4.1).
    private func check(_ merchants: ResendBatchRequest.Merchants, _ caller: Caller) async throws {
        guard case .named(let ids) = merchants else { return }
        let known = try await engine.store.knownMerchants(ids, accountID: caller.accountID)
        let unknown = ids.filter { !known.contains($0) || !caller.mayUse(merchantID: $0) }
        if unknown.isEmpty { return }
        let named = unknown.prefix(20).map { String($0) }.joined(separator: ", ")
        throw Problem.invalid(Faults("merchant_ids", "Not associated with your account: \(named)."))
    }

    private func find(_ call: Call) async throws -> ResendBatch {
        let caller = try call.requireCaller()
        let batch = try await engine.store.batch(
            publicID: call.parameter("batch_id"), accountID: caller.accountID, merchants: caller.merchants)
        guard let batch else { throw Self.unknown }
        return batch
    }

    private func show(_ call: Call) async throws -> Answer {
        let batch = try await find(call)
        return .json(headers: ["Cache-Control": "no-store"]) { batch.writeMembers(into: &$0) }
    }

    private func cancel(_ call: Call) async throws -> Answer {
        let accountID = try call.requireCaller().accountID
        _ = try await find(call)
        let (outcome, batch) = try await engine.cancelBatch(
            publicID: call.parameter("batch_id"), accountID: accountID, by: call.requester)
        if outcome == .alreadyEnded { throw Problem.conflict("The resend batch has already ended.") }
        guard let canceled = batch else { throw Self.unknown }
        return .json(headers: ["Cache-Control": "no-store"]) { canceled.writeMembers(into: &$0) }
    }

    private func list(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        var reader = QueryReader(call.query, known: QueryReader.pageNames)
        let page = reader.page()
        try reader.throwFaults()
        let found = try await engine.store.listBatches(
            accountID: caller.accountID, merchants: caller.merchants, page)
        return .json(headers: ["Cache-Control": "no-store"]) { writer in
            writer.array("data") { writer in
                for batch in found.batches { writer.object { batch.writeMembers(into: &$0) } }
            }
            writer.member("next", publicURL.next(Self.path, call, cursor: found.next, filters: []))
        }
    }
}
