import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// What became of each payout of a job, by pages or all at once (`docs/contract.md` 13.4).
package struct LedgerRoutes: Sendable {
    private static let path = "/v2/payout/notifications/resend"
    private static let headers = ["Cache-Control": "no-store"]

    private let engine: Engine
    private let publicURL: PublicURL

    package init(_ engine: Engine, publicURL: PublicURL) {
        self.engine = engine
        self.publicURL = publicURL
    }

    package var endpoints: [Endpoint] {
        [Endpoint(.get, Self.path + "/{job_id}/items", ResendRoutes.readers, limit: .read, items)]
    }

    private func items(_ call: Call) async throws -> Answer {
        let caller = try call.requireCaller()
        // Whether there is such a job comes before what is wrong with the question.
        guard let job = try await engine.store.resend(jobID: call.parameter("job_id")) else {
            throw ResendRoutes.unknown
        }
        if !caller.sees(job) { throw ResendRoutes.foreign }
        let query = try LedgerQuery(call.query)
        if let format = query.format {
            let store = engine.store
            return try await LedgerStream.answer(format, headers: Self.headers) {
                (after: Int64?) async throws -> (items: [LedgerItem], after: Int64?) in
                let piece = CursorPage(limit: Limits.ledgerPiece, after: after)
                return try await store.listLedger(job, outcome: query.outcome, piece)
            }
        }
        let found = try await engine.store.listLedger(job, outcome: query.outcome, query.page)
        return .json(headers: Self.headers) { writer in
            writer.array("data") { writer in
                for item in found.items { writer.object { item.writeMembers(into: &$0) } }
            }
            writer.member(
                "next",
                publicURL.next(
                    "\(Self.path)/\(job.jobID)/items", call, cursor: found.after.map { CursorPage.cursor($0) },
                    filters: ["outcome"]))
        }
    }
}
