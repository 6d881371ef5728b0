import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// The resend logs of v3, each user its own: page by page (`docs/contract.md` 7), and one with its outcome, its ledger
/// and its cancel (13.18).
package struct LogRoutes: Sendable {
    private static let path = "/v3/webhooks/resend"
    private static let headers = ["Cache-Control": "no-store"]

    static let unknown = Problem.notFound("Resend log not found.")
    static let alreadyEnded = Problem.conflict("The resend log has already ended.")

    private let engine: Engine
    private let publicURL: PublicURL

    package init(_ engine: Engine, publicURL: PublicURL) {
        self.engine = engine
        self.publicURL = publicURL
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.get, Self.path, .token, limit: .read, list),
            Endpoint(.get, Self.path + "/{id}", .token, limit: .read, show),
            Endpoint(.get, Self.path + "/{id}/items", .token, limit: .read, items),
            Endpoint(.delete, Self.path + "/{id}", .token, limit: .write, cancel),
        ]
    }

    private func list(_ call: Call) async throws -> Answer {
        let user = try call.requireUser()
        let query = try ResendLogQuery(call.query)
        let page = try await engine.store.listLogs(query, userID: user.id)
        return .json(headers: Self.headers) { writer in
            writer.member("next", page.hasOlder ? link(query, from: page.logs.last, .next) : nil)
            writer.member("previous", page.hasNewer ? link(query, from: page.logs.first, .previous) : nil)
            writer.array("results") { writer in
                for log in page.logs { writer.object { log.write(into: &$0) } }
            }
        }
    }

    /// The cursor names a row that is shown (`docs/contract.md` 7.3).
    private func link(
        _ query: ResendLogQuery, from log: ResendLog?, _ direction: ResendLogQuery.Direction
    ) -> String? {
        guard let log else { return nil }
        let cursor = ResendLogQuery.Cursor(createdAt: log.createdAt, id: log.id)
        return publicURL.link(Self.path, query.link(from: cursor, direction))
    }

    // MARK: One log

    /// - Throws: 404 for another user's log, as for one that there is not.
    private func find(_ call: Call) async throws -> ResendLogDetails {
        let id = try call.id("id", orThrow: Self.unknown)
        let user = try call.requireUser()
        guard let log = try await engine.store.logDetails(id: id, userID: user.id) else { throw Self.unknown }
        return log
    }

    private func show(_ call: Call) async throws -> Answer {
        let log = try await find(call)
        var reader = QueryReader(call.query, strictly: ["include"])
        let includesOutcome = reader.choice("include", ["outcome"]) != nil
        try reader.throwFaults()
        return .json(headers: Self.headers) { writer in
            if includesOutcome { log.writeMembers(into: &writer) } else { log.log.write(into: &writer) }
        }
    }

    private func items(_ call: Call) async throws -> Answer {
        let log = try await find(call)
        let query = try LogLedgerQuery(call.query)
        if let format = query.format {
            let store = engine.store
            return try await LedgerStream.answer(format, headers: Self.headers) {
                (after: LogLedgerPlace?) async throws -> (items: [LogLedgerItem], after: LogLedgerPlace?) in
                try await store.listLedger(log, outcome: query.outcome, limit: Limits.ledgerPiece, after: after)
            }
        }
        let found = try await engine.store.listLedger(
            log, outcome: query.outcome, limit: query.limit, after: query.after)
        return .json(headers: Self.headers) { writer in
            writer.member(
                "next",
                publicURL.next(
                    "\(Self.path)/\(log.log.id)/items", call, cursor: found.after?.cursor, filters: ["outcome"]))
            writer.array("results") { writer in
                for item in found.items { writer.object { item.writeMembers(into: &$0) } }
            }
        }
    }

    private func cancel(_ call: Call) async throws -> Answer {
        let id = try call.id("id", orThrow: Self.unknown)
        let user = try call.requireUser()
        switch try await engine.cancelLog(id: id, userID: user.id, by: call.requester) {
        case .canceled(let log): return .json(headers: Self.headers) { log.log.write(into: &$0) }
        case .notFound: throw Self.unknown
        case .alreadyEnded: throw Self.alreadyEnded
        }
    }
}
