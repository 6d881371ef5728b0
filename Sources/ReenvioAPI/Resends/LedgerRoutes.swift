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
        if let accountID = caller.accountID, accountID != job.accountID { throw ResendRoutes.foreign }
        let query = try LedgerQuery(call.query)
        if let format = query.format { return try await whole(job, query.outcome, format) }
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

    /// Everything, a piece in memory at a time. No snapshot is held while a client reads; each piece is one of its own.
    /// The first is read before the answer begins, so that a store that cannot be read is 503.
    private func whole(_ job: Resend, _ outcome: LedgerOutcome?, _ format: LedgerFormat) async throws -> Answer {
        let store = engine.store
        let first = try await store.listLedger(job, outcome: outcome, CursorPage(limit: Limits.ledgerPiece))
        return .streamed(format.contentType, headers: Self.headers) { write in
            try await write(format.head + format.bytes(first.items))
            var after = first.after
            while let position = after {
                let page = CursorPage(limit: Limits.ledgerPiece, after: position)
                let next = try await store.listLedger(job, outcome: outcome, page)
                try await write(format.bytes(next.items))
                after = next.after
            }
        }
    }
}
