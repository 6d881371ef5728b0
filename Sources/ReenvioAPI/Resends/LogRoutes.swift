import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// The resend logs of v3, page by page, each user its own (`docs/contract.md` 7).
package struct LogRoutes: Sendable {
    private static let path = "/v3/webhooks/resend"

    private let engine: Engine
    private let publicURL: PublicURL

    package init(_ engine: Engine, publicURL: PublicURL) {
        self.engine = engine
        self.publicURL = publicURL
    }

    package var endpoints: [Endpoint] {
        [Endpoint(.get, Self.path, .token, limit: .read, list)]
    }

    private func list(_ call: Call) async throws -> Answer {
        let user = try call.requireUser()
        let query = try ResendLogQuery(call.query)
        let page = try await engine.store.listLogs(query, userID: user.id)
        return .json(headers: ["Cache-Control": "no-store"]) { writer in
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
}
