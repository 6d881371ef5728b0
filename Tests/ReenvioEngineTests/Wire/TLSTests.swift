import NIOSSL
import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Testing

/// TLS to receivers: TLS 1.2 at least, the certificate checked in full, and a reason of its own for each way to fail
/// (`docs/contract.md` 13.10).
@Suite(.timeLimit(.minutes(5)))
struct TLSTests {
    private let ok: WireResult = .answered(WireAnswer(statusCode: 200, body: Array("ok".utf8)))
    private let certificates: Certificates

    init() throws {
        certificates = try Certificates.shared()
    }

    /// The result of one request over TLS.
    private func result(
        from identity: Certificates.Identity, host: String = "good.example", isTrusted: Bool = true,
        serverNames: Watched<[String?]>? = nil, change: (inout TLSConfiguration) -> Void = { _ in }
    ) async throws -> WireResult {
        let context = try Certificates.context(identity, serverNames: serverNames, change: change)
        let receiver = try await RudeReceiver.start(tls: context) { _ in [.send(WireFixture.ok)] }
        let wire = try WireFixture(trustRoots: isTrusted ? certificates.authority : nil)
        let result = try await wire.exchange(with: receiver, scheme: "https", host: host)
        await wire.end(expecting: 1)
        try await receiver.log.wait(for: "the connection is closed") { $0.open == 0 }
        try await receiver.stop()
        return result
    }

    /// The result of one https request to a receiver that does not speak TLS.
    private func result(of acts: [RudeReceiver.Act], limits: WireLimits = WireFixture.limits) async throws -> WireResult
    {
        let receiver = try await RudeReceiver.start(at: .accepted) { _ in acts }
        let wire = try WireFixture(limits: limits)
        let result = try await wire.exchange(with: receiver, scheme: "https", host: "good.example")
        await wire.end(expecting: 1)
        try await receiver.stop()
        return result
    }

    @Test func `a good certificate under a trust root of ours is trusted, and the name goes out by SNI`() async throws {
        let names = Watched<[String?]>([])
        #expect(try await result(from: certificates.good, serverNames: names) == ok)
        #expect(names.value == ["good.example"])
    }

    @Test func `a literal address is checked against the certificate, without SNI`() async throws {
        let names = Watched<[String?]>([])
        #expect(try await result(from: certificates.good, host: "127.0.0.1", serverNames: names) == ok)
        #expect(names.value == [nil])
        #expect(try await result(from: certificates.named, host: "127.0.0.1") == .failed(.tlsWrongHost))
    }

    @Test func `an authority that nobody named is tls_untrusted`() async throws {
        #expect(try await result(from: certificates.good, isTrusted: false) == .failed(.tlsUntrusted))
    }

    @Test func `a self-signed certificate is tls_untrusted`() async throws {
        #expect(try await result(from: certificates.selfSigned) == .failed(.tlsUntrusted))
    }

    @Test func `an expired certificate is tls_expired`() async throws {
        #expect(try await result(from: certificates.expired) == .failed(.tlsExpired))
    }

    @Test func `a certificate for another name is tls_wrong_host`() async throws {
        #expect(try await result(from: certificates.good, host: "other.example") == .failed(.tlsWrongHost))
        #expect(try await result(from: certificates.good, host: "sub.good.example") == .failed(.tlsWrongHost))
    }

    @Test func `a wildcard stands for one label`() async throws {
        #expect(try await result(from: certificates.wild, host: "a.good.example") == ok)
        #expect(try await result(from: certificates.wild, host: "xn--caf-dma.good.example") == ok, "an A-label is one")
        #expect(try await result(from: certificates.wild, host: "café.good.example") == ok)
        #expect(try await result(from: certificates.wild, host: "xn--caf-dma.b.good.example") == .failed(.tlsWrongHost))
        #expect(try await result(from: certificates.wild, host: "127.0.0.1") == .failed(.tlsWrongHost))
        #expect(try await result(from: certificates.wild, host: "good.example") == .failed(.tlsWrongHost))
        #expect(try await result(from: certificates.wild, host: "a.b.good.example") == .failed(.tlsWrongHost))
    }

    @Test func `a wildcard is the whole first label or none`() async throws {
        for host in ["xn--caf-dma.partial.example", "shop.partial.example", "a.tail.example", "a.b.example"] {
            #expect(try await result(from: certificates.partial, host: host) == .failed(.tlsWrongHost), "\(host)")
        }
        #expect(try await result(from: certificates.partial, host: "xn--caf-dma.example") == ok, "named in full")
    }

    /// Whoever controls the name's answer chooses the address, so a certificate for the address proves nothing.
    @Test func `a certificate for the address is none for the name, nor is a common name`() async throws {
        #expect(try await result(from: certificates.numbered, host: "127.0.0.1") == ok)
        #expect(try await result(from: certificates.numbered) == .failed(.tlsWrongHost))
        #expect(try await result(from: certificates.common) == .failed(.tlsWrongHost))
    }

    @Test func `the request stays here when the certificate is wrong`() async throws {
        let receiver = try await RudeReceiver.start(tls: Certificates.context(certificates.good)) { _ in [] }
        let wire = try WireFixture(trustRoots: certificates.authority)
        #expect(
            try await wire.exchange(with: receiver, scheme: "https", host: "other.example") == .failed(.tlsWrongHost)
        )
        await wire.end(expecting: 1)
        try await receiver.log.wait(for: "the connection is closed") { $0.open == 0 }
        #expect(receiver.log.value.requests.isEmpty)
        try await receiver.stop()
    }

    @Test func `TLS 1.2 is spoken, TLS 1.1 is not`() async throws {
        #expect(try await result(from: certificates.good) { $0.maximumTLSVersion = .tlsv12 } == ok)
        let old: (inout TLSConfiguration) -> Void = {
            $0.minimumTLSVersion = .tlsv1
            $0.maximumTLSVersion = .tlsv11
        }
        #expect(try await result(from: certificates.good, change: old) == .failed(.tlsFailed))
    }

    @Test func `a receiver that wants a certificate of ours gets none`() async throws {
        let demanding: (inout TLSConfiguration) -> Void = {
            $0.maximumTLSVersion = .tlsv12
            $0.certificateVerification = .noHostnameVerification
        }
        #expect(try await result(from: certificates.good, change: demanding) == .failed(.tlsFailed))
    }

    @Test func `plain HTTP where TLS is due is tls_failed`() async throws {
        #expect(try await result(of: [.send("HTTP/1.1 400 Bad Request\r\n\r\n")]) == .failed(.tlsFailed))
    }

    @Test func `a farewell in the handshake is tls_failed, a reset connection_reset`() async throws {
        #expect(try await result(of: [.pause(.milliseconds(20)), .close]) == .failed(.tlsFailed))
        #expect(try await result(of: [.pause(.milliseconds(20)), .reset]) == .failed(.connectionReset))
    }

    @Test func `silence in the handshake is a time-out`() async throws {
        #expect(try await result(of: [], limits: WireFixture.hastyLimits) == .failed(.timedOut))
    }

    @Test func `a TLS connection is used again, and replaced when it is lost`() async throws {
        let receiver = try await RudeReceiver.start(tls: Certificates.context(certificates.good)) { heard in
            heard.number == 3 ? [.reset] : [.send(WireFixture.ok)]
        }
        let wire = try WireFixture(trustRoots: certificates.authority)
        for _ in 1...4 {
            #expect(try await wire.exchange(with: receiver, scheme: "https", host: "good.example") == ok)
        }
        #expect(receiver.log.value.accepted == 2)
        #expect(receiver.log.value.requests.count == 5)
        await wire.end(expecting: 4)
        try await receiver.stop()
    }

    @Test func `an answer that ends without TLS's farewell stands, none at all is connection_reset`() async throws {
        let receiver = try await RudeReceiver.start(tls: Certificates.context(certificates.good)) { heard in
            heard.number == 1 ? [.send("HTTP/1.1 200 OK\r\n\r\nok"), .pause(.milliseconds(50)), .reset] : [.reset]
        }
        let wire = try WireFixture(trustRoots: certificates.authority)
        #expect(try await wire.exchange(with: receiver, scheme: "https", host: "good.example") == ok)
        #expect(
            try await wire.exchange(with: receiver, scheme: "https", host: "good.example") == .failed(.connectionReset)
        )
        await wire.end(expecting: 2)
        try await receiver.stop()
    }

    @Test func `a trust root file that is not there is an error at the start`() throws {
        #expect(throws: (any Error).self) { try WireFixture(trustRoots: "/nonexistent/roots.pem") }
    }
}
