import ReenvioModel
import Testing

/// When two spellings are one URL (`docs/contract.md` 6.5).
struct ReceiverURLIdentityTests {
    private func identity(_ text: String) throws -> String {
        let identity = try ReceiverURL(parsing: text, policy: AddressPolicy()).identity
        #expect(ReceiverURL.identity(of: text) == identity)
        return identity
    }

    @Test(arguments: [
        ("https://a.example/hook", "https://A.Example:443/hook"), ("https://a.example", "https://a.example/"),
        ("https://a.example/hook", "HTTPS://a.example/hook#part"), ("https://a.example?x=1", "https://a.example/?x=1"),
        ("https://a.example/%7Euser", "https://a.example/~user"),
        ("https://a.example/%2fx", "https://a.example/%2Fx"),
        ("https://a.example/caf%c3%a9", "https://a.example/caf%C3%A9"),
    ])
    func equal(_ one: String, _ other: String) throws {
        #expect(try identity(one) == identity(other))
    }

    @Test(arguments: [
        ("https://a.example/hook", "https://a.example/Hook"), ("https://a.example/hook", "https://a.example/hook/"),
        ("https://a.example/hook", "https://a.example:8443/hook"), ("https://a.example/?a=1", "https://a.example/?a=2"),
        ("https://a.example/a%2Fb", "https://a.example/a/b"), ("https://a.example/", "https://b.example/"),
    ])
    func different(_ one: String, _ other: String) throws {
        #expect(try identity(one) != identity(other))
    }

    @Test("a stored text that is no URL any more stands for itself")
    func stored() {
        #expect(ReceiverURL.identity(of: "nonsense") == "nonsense")
        #expect(ReceiverURL.identity(of: "http://127.0.0.1:80/x") == "http://127.0.0.1:80/x")
    }
}
