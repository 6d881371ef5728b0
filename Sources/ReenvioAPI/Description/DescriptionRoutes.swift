import HTTPTypes
import ReenvioModel

/// The API description, for programs and for people (`docs/contract.md` 10). Neither needs a credential.
package struct DescriptionRoutes: Sendable {
    package init() {}

    package var endpoints: [Endpoint] {
        [
            Endpoint(.get, "/openapi.yaml", .open) { _ in
                Self.answer(PageResources.openAPI, "application/yaml")
            },
            Endpoint(.get, "/docs", .open) { _ in
                Self.answer(try Self.page.get(), "text/html; charset=utf-8")
            },
            Endpoint(.get, "/docs/style.css", .open) { _ in
                Self.answer(PageResources.docsStyle, "text/css; charset=utf-8")
            },
        ]
    }

    /// Made when it is first asked for, and once.
    private static let page: Result<[UInt8], any Error> = Result {
        try Templates.render("docs", DescriptionPage(try APIDescription.bundled.get()).view)
    }

    private static func answer(_ body: [UInt8], _ type: String) -> Answer {
        Answer(
            status: 200, body: body,
            headers: [
                "Content-Type": type, "Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'",
            ])
    }
}
