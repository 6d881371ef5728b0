import HTTPTypes
package import ReenvioEngine
import ReenvioModel

/// `GET /metrics`, for operators; open where it has an address of its own (`docs/contract.md` 10,
/// `docs/operations.md`).
package struct MetricsRoutes: Sendable {
    private let page: MetricsPage
    private let isOpen: Bool

    package init(_ page: MetricsPage, isOpen: Bool = false) {
        self.isOpen = isOpen
        self.page = page
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.get, "/metrics", isOpen ? .open : .operatorKey(.metricsRead)) { _ in
                Answer(
                    status: 200, body: Array(await page.text().utf8),
                    headers: ["content-type": MetricsPage.contentType])
            }
        ]
    }
}
