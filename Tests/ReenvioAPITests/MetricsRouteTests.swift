import HTTPTypes
import ReenvioTesting
import Testing

/// `GET /metrics`: an operator's, in Prometheus's text format (`docs/contract.md` 10).
struct MetricsRouteTests {
    @Test func `an operator's key, and no other`() async throws {
        try await APIFixture.run { api async throws in
            let shown = try await api.call(.get, "/metrics", as: .operatorKey)
            #expect(shown.status == 200)
            #expect(shown.header("Content-Type") == "text/plain; version=0.0.4; charset=utf-8")
            #expect(shown.body.hasPrefix("# HELP reenvio_changes_total Status changes committed.\n# TYPE "))
            #expect(shown.body.hasSuffix("\n"))
            #expect(try await api.call(.get, "/metrics", as: .none).status == 401)
            #expect(try await api.call(.get, "/metrics", as: .ownKey).status == 403)
            let wrong = try await api.call(.post, "/metrics", "{}", as: .operatorKey)
            #expect(wrong.status == 405)
            #expect(wrong.header("Allow") == "GET, HEAD")
        }
    }
}
