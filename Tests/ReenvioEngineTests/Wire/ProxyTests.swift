import NIOCore
import NIOSSL
import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Testing

/// Deliveries through an egress proxy (`docs/decisions/0004-egress-proxy.md`): the guard judges as ever, the proxy is
/// asked for a judged address, TLS is the receiver's, and each way to fail has its reason.
@Suite(.timeLimit(.minutes(5)))
struct ProxyTests {
    private let ok: WireResult = .answered(WireAnswer(statusCode: 200, body: Array("ok".utf8)))
    private let certificates: Certificates

    init() throws {
        certificates = try Certificates.shared()
    }

    private static func proxy(at port: Int, host: String = "127.0.0.1", user: String = "") throws -> EgressProxy {
        try #require(EgressProxy("http://\(user)\(host):\(port)"))
    }

    private static func addresses(_ texts: String...) throws -> [IPAddress] {
        try texts.map { try #require(IPAddress($0)) }
    }

    /// A wire through an honest proxy on 127.0.0.1, to a receiver that listens on all of 127.0.0.0/8.
    private func withProxy(
        allowed: String = "127.0.0.0/8", user: String = "", tls: NIOSSLContext? = nil,
        answer: @escaping @Sendable (String) -> String? = { _ in nil },
        lookup: @escaping Lookup = { _ in try Self.addresses("127.0.0.2") },
        test: (WireFixture, TunnelProxy, RudeReceiver) async throws -> Void
    ) async throws {
        let proxy = try await TunnelProxy.start(answer: answer)
        let receiver = try await RudeReceiver.start(host: "0.0.0.0", tls: tls) { _ in [.send(WireFixture.ok)] }
        let wire = try WireFixture(
            proxy: Self.proxy(at: proxy.port, user: user), trustRoots: certificates.authority, allowed: allowed,
            lookup: lookup)
        try await test(wire, proxy, receiver)
        await wire.end(expecting: wire.results.value.count)
        try await proxy.log.wait(for: "every tunnel is closed") { $0.open == 0 }
        try await receiver.stop()
        try await proxy.stop()
    }

    @Test func `http goes through a tunnel to the judged address, which is kept for the next request`() async throws {
        try await withProxy { (wire, proxy, receiver) async throws in
            for _ in 1...5 { #expect(try await wire.exchange(with: receiver, host: "name.example") == ok) }
            #expect(proxy.log.value.targets == ["127.0.0.2:\(receiver.port)"], "one tunnel for all, never by name")
            #expect(receiver.log.value.accepted == 1)
            let heads = receiver.log.value.requests.map(\.head)
            #expect(heads.count == 5)
            #expect(
                heads.allSatisfy {
                    $0.hasPrefix("POST /hook HTTP/1.1\r\nhost: name.example:\(receiver.port)\r\n")
                })
        }
    }

    @Test func `TLS is spoken with the receiver, by the name of its URL`() async throws {
        let names = Watched<[String?]>([])
        let tls = try Certificates.context(certificates.good, serverNames: names)
        try await withProxy(tls: tls) { (wire, proxy, receiver) async throws in
            for _ in 1...3 {
                #expect(try await wire.exchange(with: receiver, scheme: "https", host: "good.example") == ok)
            }
            let wrong = try await wire.exchange(with: receiver, scheme: "https", host: "other.example")
            #expect(wrong == .failed(.tlsWrongHost))
            #expect(names.value == ["good.example", "other.example"])
            let target = "127.0.0.2:\(receiver.port)"
            #expect(proxy.log.value.targets == [target, target])
            #expect(receiver.log.value.requests.count == 3)
        }
    }

    /// The certificate is for 127.0.0.1, where the proxy is; the receiver is elsewhere.
    @Test func `a literal address is compared with the certificate's, not the proxy's`() async throws {
        try await withProxy(tls: Certificates.context(certificates.numbered)) { (wire, _, receiver) async throws in
            #expect(try await wire.exchange(with: receiver, scheme: "https", host: "127.0.0.1") == ok)
            let wrong = try await wire.exchange(with: receiver, scheme: "https", host: "127.0.0.2")
            #expect(wrong == .failed(.tlsWrongHost))
            let named = try await wire.exchange(with: receiver, scheme: "https", host: "good.example")
            #expect(named == .failed(.tlsWrongHost))
        }
    }

    @Test func `a forbidden address is not asked for, and the proxy hears nothing`() async throws {
        let lookup: Lookup = { name in
            switch name {
            case "bad.example": try Self.addresses("127.0.0.2")
            case "front.example": try Self.addresses("127.0.0.5", "127.0.0.2")
            default: try Self.addresses("127.0.0.2", "127.0.0.5")
            }
        }
        try await withProxy(allowed: "127.0.0.5/32", lookup: lookup) { (wire, proxy, receiver) async throws in
            for host in ["bad.example", "front.example", "back.example"] {
                #expect(try await wire.exchange(with: receiver, host: host) == .failed(.addressForbidden))
            }
            #expect(proxy.log.value.accepted == 0)
            #expect(receiver.log.value.accepted == 0)
        }
    }

    @Test func `a name that changes its answer gains nothing`() async throws {
        let asked = Watched(0)
        let lookup: Lookup = { _ in
            try Self.addresses(
                asked.change {
                    $0 += 1
                    return $0
                } % 2 == 1 ? "127.0.0.5" : "127.0.0.2")
        }
        let proxy = try await TunnelProxy.start()
        let receiver = try await RudeReceiver.start(host: "0.0.0.0") { _ in [.send(WireFixture.ok)] }
        var limits = WireFixture.limits
        limits.lookupAnswerKept = .zero
        limits.connectionAge = .zero
        let wire = try WireFixture(
            limits: limits, proxy: Self.proxy(at: proxy.port), allowed: "127.0.0.5/32", lookup: lookup)
        for _ in 1...3 {
            #expect(try await wire.exchange(with: receiver, host: "rebind.example") == ok)
            let second = try await wire.exchange(with: receiver, host: "rebind.example")
            #expect(second == .failed(.addressForbidden))
        }
        #expect(proxy.log.value.targets == Array(repeating: "127.0.0.5:\(receiver.port)", count: 3))
        await wire.end(expecting: 6)
        try await receiver.stop()
        try await proxy.stop()
    }

    /// Only 127.0.0.5 may be reached; the proxy lives at 127.0.0.1, and under a name that no receiver may have.
    @Test func `the proxy's own address is not judged`() async throws {
        let lookup: Lookup = { name in try Self.addresses(name == "proxy.internal" ? "127.0.0.1" : "127.0.0.5") }
        let proxy = try await TunnelProxy.start()
        let receiver = try await RudeReceiver.start(host: "127.0.0.5") { _ in [.send(WireFixture.ok)] }
        for host in ["127.0.0.1", "proxy.internal"] {
            let wire = try WireFixture(
                proxy: Self.proxy(at: proxy.port, host: host), allowed: "127.0.0.5/32", lookup: lookup)
            #expect(try await wire.exchange(with: receiver, host: "name.example") == ok)
            let itself = "http://127.0.0.1:\(proxy.port)/"
            #expect(throws: ReceiverURLFault.forbiddenAddress) { try wire.url(itself) }
            await wire.end(expecting: 1)
        }
        #expect(proxy.log.value.accepted == 2)
        try await receiver.stop()
        try await proxy.stop()
    }

    @Test func `the proxy gets its credentials, and the receiver does not`() async throws {
        try await withProxy(user: "me:p%40ss@") { (wire, proxy, receiver) async throws in
            #expect(try await wire.exchange(with: receiver) == ok)
            let target = "127.0.0.1:\(receiver.port)"
            #expect(
                proxy.log.value.heads == [
                    "CONNECT \(target) HTTP/1.1\r\nhost: \(target)\r\nproxy-authorization: Basic bWU6cEBzcw=="
                ])
            #expect(receiver.log.value.requests.allSatisfy { !$0.head.lowercased().contains("proxy") })
        }
    }

    @Test func `the next judged address is asked for when the proxy cannot reach one`() async throws {
        let two: Lookup = { _ in try Self.addresses("127.0.0.3", "127.0.0.2") }
        let refused: @Sendable (String) -> String? = { target in
            target.hasPrefix("127.0.0.3") ? "HTTP/1.1 502 Bad Gateway\r\n\r\n" : nil
        }
        try await withProxy(answer: refused, lookup: two) { (wire, proxy, receiver) async throws in
            #expect(try await wire.exchange(with: receiver, host: "two.example") == ok)
            #expect(proxy.log.value.targets == ["127.0.0.3:\(receiver.port)", "127.0.0.2:\(receiver.port)"])
        }
    }
}

/// What a proxy that does not do its work makes of an attempt.
@Suite(.timeLimit(.minutes(5)))
struct BadProxyTests {
    /// The result of one request through a proxy that acts so when it hears the CONNECT.
    private func result(
        of acts: [RudeReceiver.Act], at moment: RudeReceiver.Moment = .requestHeard,
        limits: WireLimits = WireFixture.limits
    ) async throws -> WireResult {
        let proxy = try await RudeReceiver.start(at: moment) { _ in acts }
        let wire = try WireFixture(limits: limits, proxy: try #require(EgressProxy("http://127.0.0.1:\(proxy.port)")))
        try wire.post(1, to: "https://name.example/hook")
        let result = try await wire.result(of: 1)
        await wire.end(expecting: 1)
        try await proxy.log.wait(for: "the connection is closed") { $0.open == 0 }
        try await proxy.stop()
        return result
    }

    @Test(arguments: [
        (403, AttemptFailure.connectionRefused), (407, .connectionRefused), (502, .connectionRefused),
        (503, .connectionRefused), (302, .connectionRefused), (504, .timedOut), (101, .malformedResponse),
        (600, .malformedResponse),
    ])
    func `an answer that is no tunnel`(status: Int, reason: AttemptFailure) async throws {
        let answer = "HTTP/1.1 \(status) No\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n"
        #expect(try await result(of: [.send(answer)]) == .failed(reason))
    }

    @Test func `silence and a drip are time-outs`() async throws {
        #expect(try await result(of: [], limits: WireFixture.hastyLimits) == .failed(.timedOut))
        let drip = RudeReceiver.Act.drip(
            "HTTP/1.1 200 OK\r\nx: \(String(repeating: "a", count: 900))", every: .milliseconds(5))
        #expect(try await result(of: [drip], limits: WireFixture.hastyLimits) == .failed(.timedOut))
    }

    @Test func `a proxy that breaks off is connection_failed`() async throws {
        #expect(try await result(of: [.reset]) == .failed(.connectionFailed))
        #expect(try await result(of: [.close]) == .failed(.connectionFailed))
        #expect(try await result(of: [.send("HTTP/1.1 20"), .close]) == .failed(.connectionFailed))
    }

    @Test func `what is no HTTP, or more of it than a head, is malformed_response`() async throws {
        #expect(try await result(of: [.send("SSH-2.0-OpenSSH_9.2\r\n")], at: .accepted) == .failed(.malformedResponse))
        #expect(try await result(of: [.send("HTTP/1.1 2000 OK\r\n\r\n")]) == .failed(.malformedResponse))
        #expect(
            try await result(of: [.send("HTTP/1.1 200 OK\r\n"), .flood("x: y\r\n")]) == .failed(.malformedResponse))
        #expect(try await result(of: [.send("HTTP/1.1 200 OK\r\n\r\nhello")]) == .failed(.malformedResponse))
    }

    @Test func `a proxy that is not there is connection_failed, like one whose name is not known`() async throws {
        let proxy = try await RudeReceiver.start { _ in [] }
        try await proxy.stop()
        for host in ["127.0.0.1", "proxy.example"] {
            let lookup: Lookup = { name in
                if name == "proxy.example" { throw NameNotResolved() }
                return [try #require(IPAddress("127.0.0.1"))]
            }
            let wire = try WireFixture(proxy: EgressProxy("http://\(host):\(proxy.port)"), lookup: lookup)
            try wire.post(1, to: "https://name.example/hook")
            #expect(try await wire.result(of: 1) == .failed(.connectionFailed))
            await wire.end(expecting: 1)
        }
    }
}
