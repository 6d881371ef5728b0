import HTTPTypes
import ReenvioAPI
import ReenvioModel
import ReenvioTesting
import Testing

/// `openapi.yaml` against the route table, both ways.
@Suite struct DescriptionTests {
    private static let described = Result { try APIDescription.bundled.get().operations }

    private static func name(_ method: String, _ path: String) -> String { "\(method) \(path)" }

    @Test func everyRouteIsDescribedAndNothingElse() async throws {
        let described = try Self.described.get().map { Self.name($0.method, $0.path) }
        try await APIFixture.run { api in
            let routes = api.table.endpoints.map { Self.name($0.method.rawValue, $0.path) }
            #expect(Set(routes).subtracting(described) == [], "routes that the description lacks")
            #expect(Set(described).subtracting(routes) == [], "described, and no route")
            #expect(described.count == routes.count)
        }
    }

    /// The credential and whether there is a body are those of the route.
    @Test func credentialsAndBodiesAreThoseOfTheRoutes() async throws {
        let described = try Self.described.get()
        try await APIFixture.run { api in
            for endpoint in api.table.endpoints {
                let operation = described.first { $0.method == endpoint.method.rawValue && $0.path == endpoint.path }
                guard let operation else { continue }
                let scheme: [String] =
                    switch endpoint.access {
                    case .open, .signIn: []
                    case .anyKey, .key, .keyWithOne, .resendKey: ["apiKey"]
                    case .operatorKey: ["operatorKey"]
                    case .token: ["accessToken"]
                    }
                #expect(operation.security == scheme, "\(endpoint.method.rawValue) \(endpoint.path)")
                #expect(operation.takesBody == endpoint.takesBody, "\(endpoint.method.rawValue) \(endpoint.path)")
            }
        }
    }

    @Test func isServedToAnybody() async throws {
        try await APIFixture.run { api in
            let text = try await api.call(.get, "/openapi.yaml", as: .none)
            #expect(text.status == 200 && text.header("content-type") == "application/yaml")
            #expect(try APIDescription(text.body).operations == (try Self.described.get()))
            let page = try await api.call(.get, "/docs", as: .none)
            #expect(page.status == 200 && page.header("content-type") == "text/html; charset=utf-8")
            for operation in try Self.described.get() { #expect(page.body.contains("<code>\(operation.path)</code>")) }
            #expect(!page.body.contains("{{") && !page.body.contains("http://"))
            #expect(page.header("content-security-policy")?.hasPrefix("default-src 'none'") == true)
            #expect(try await api.call(.get, "/docs/style.css", as: .none).status == 200)
        }
    }

    @Test(arguments: [
        "a: 1\na: 2", "a:\nb: 1", "a: {b: 1", "a: [1, 2", "a: 'open", "a: 1\n   b: 2", "just a text",
    ])
    func mistakesInTheDescriptionAreFound(text: String) {
        #expect(throws: (any Error).self) { try APIDescription("paths: {}\n" + text) }
    }
}
