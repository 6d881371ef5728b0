import ReenvioModel
import Testing

struct EgressProxyTests {
    @Test(arguments: [
        ("http://proxy.internal:3128", "http://proxy.internal:3128"), ("http://10.0.0.1:8080/", "http://10.0.0.1:8080"),
        ("HTTP://[fd00::1]:1", "http://[fd00::1]:1"), ("http://Proxy:65535", "http://proxy:65535"),
    ])
    func `host and port, private ones too`(text: String, shown: String) throws {
        let proxy = try #require(EgressProxy(text))
        #expect(proxy.description == shown)
        #expect(proxy.authorization == nil)
    }

    @Test(arguments: [
        ("user:password", "Basic dXNlcjpwYXNzd29yZA=="), ("me:p%40s%3As", "Basic bWU6cEBzOnM="), ("me:", "Basic bWU6"),
        ("me:a:b", "Basic bWU6YTpi"), ("me:p@ss", "Basic bWU6cEBzcw=="),
    ])
    func `credentials are for the header and are not shown`(userInfo: String, header: String) throws {
        let proxy = try #require(EgressProxy("http://\(userInfo)@proxy:3128"))
        #expect(proxy.authorization == header)
        #expect(proxy.description == "http://proxy:3128")
        #expect("\(proxy)" == "http://proxy:3128")
    }

    @Test(arguments: [
        "", "proxy:3128", "https://proxy:3128", "socks5://proxy:1080", "http://proxy", "http://proxy:",
        "http://proxy:0",
        "http://proxy:65536", "http://proxy:3128/path", "http://proxy:3128?x", "http://:3128", "http://me@proxy:3128",
        "http://:pass@proxy:3128", "http://a%3Ab:c@proxy:3128", "http://me:%zz@proxy:3128", "http://pro xy:3128",
        "http://127.1:3128", "http://proxy:3128#x", "http://[::1:3128",
    ])
    func `what is no proxy`(text: String) {
        #expect(EgressProxy(text) == nil)
    }
}
