import HTTPTypes
package import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// Who did what, in the caller's account or, for an operator, everywhere (`docs/contract.md` 9).
package struct AuditRoutes: Sendable {
    private static let path = "/v2/audit"

    private let engine: Engine
    private let publicURL: PublicURL

    package init(_ engine: Engine, publicURL: PublicURL) {
        self.engine = engine
        self.publicURL = publicURL
    }

    package var endpoints: [Endpoint] {
        [Endpoint(.get, Self.path, .key(.auditRead), limit: .read, list)]
    }

    private func list(_ call: Call) async throws -> Answer {
        var reader = QueryReader(call.query, known: QueryReader.pageNames)
        let page = reader.page()
        try reader.throwFaults()
        let found = try await engine.store.listAudit(for: try call.requireCaller(), page)
        return .json { writer in
            writer.array("data") { writer in
                for row in found.rows { row.write(into: &writer) }
            }
            writer.member("next", publicURL.next(Self.path, call, cursor: found.next, filters: []))
        }
    }
}
