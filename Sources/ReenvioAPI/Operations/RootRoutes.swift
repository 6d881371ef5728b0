import HTTPTypes
import ReenvioModel

/// `/`: a browser goes on to the pages, a program is told where to read on (`docs/contract.md` 10).
struct RootRoutes: Sendable {
    /// Where a browser goes.
    let pages: String
    let version: String
    let publicURL: PublicURL

    var endpoints: [Endpoint] {
        [
            Endpoint(.get, "/", .open) { call in
                if AcceptHeader.prefersHTML(call.accept) {
                    return Answer(
                        status: 303, body: [],
                        headers: ["Location": pages, "Content-Type": "text/plain", "Vary": "Accept"])
                }
                return .json(headers: ["Vary": "Accept"]) { writer in
                    writer.member("name", "Reenvio")
                    writer.member("version", version)
                    writer.member("docs", publicURL.link("/docs", []))
                    writer.member("openapi", publicURL.link("/openapi.yaml", []))
                }
            }
        ]
    }
}
