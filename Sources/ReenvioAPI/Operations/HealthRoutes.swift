import HTTPTypes
package import ReenvioEngine
import ReenvioModel

/// For load balancers: alive, and able to take work (`docs/contract.md` 10). Both say nothing but ok or not.
package struct HealthRoutes: Sendable {
    private let readiness: Readiness

    package init(_ readiness: Readiness) {
        self.readiness = readiness
    }

    package var endpoints: [Endpoint] {
        [
            Endpoint(.get, "/healthz", .open) { _ in .json { $0.member("status", "ok") } },
            Endpoint(.get, "/readyz", .open) { _ in
                guard await readiness.isReady() else { throw Problem.unavailable }
                return .json { $0.member("status", "ok") }
            },
        ]
    }
}
