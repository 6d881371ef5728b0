import HTTPTypes
package import ReenvioEngine

/// `GET /metrics`, for operators (`docs/contract.md` 10, `docs/operations.md`).
package struct MetricsRoutes: Sendable {
    private let page: MetricsPage

    package init(_ page: MetricsPage) {
        self.page = page
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.get, "/metrics", .operatorKey) { _ in
                Answer(
                    status: 200, body: Array(await page.text().utf8),
                    headers: ["content-type": MetricsPage.contentType])
            }
        ]
    }
}
