import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Testing

/// Names with several addresses (RFC 8305): attempts to the judged ones overlap, the first to connect wins, and the
/// time is the receiver's.
@Suite(.timeLimit(.minutes(5)))
struct AddressRaceTests {
    private let ok: WireResult = .answered(WireAnswer(statusCode: 200, body: Array("ok".utf8)))

    private static func addresses(_ texts: [String]) throws -> [IPAddress] {
        try texts.map { try #require(IPAddress($0)) }
    }

    /// What comes of one request to a name with these addresses; 127.0.0.3 swallows packets, 127.0.0.4 refuses, and
    /// 127.0.0.1 answers after a while. All who connected were closed.
    private func result(
        _ addresses: [String], answersAfter delay: Duration = .zero, limits: WireLimits = WireFixture.limits,
        proxied: Bool = false
    ) async throws -> (result: WireResult, took: Duration, accepted: Int) {
        let receiver = try await RudeReceiver.start { _ in [.pause(delay), .send(WireFixture.ok)] }
        let hole = try BlackHole(port: UInt16(receiver.port))
        let proxy = try await TunnelProxy.start()
        let wire = try WireFixture(
            limits: limits, proxy: proxied ? EgressProxy("http://127.0.0.1:\(proxy.port)") : nil,
            lookup: { _ in try Self.addresses(addresses) })
        let result = try await wire.exchange(with: receiver, host: "several.example")
        let took = try #require(wire.durations.value[1])
        await wire.end(expecting: 1)
        try await receiver.log.wait(for: "every connection is closed") { $0.open == 0 }
        withExtendedLifetime(hole) {}
        try await receiver.stop()
        try await proxy.stop()
        return (result, took, receiver.log.value.accepted)
    }

    /// With the time shared out among two addresses, the first would take half a minute of it.
    @Test(arguments: [false, true])
    func `the time is the receiver's, whatever its first address swallows`(proxied: Bool) async throws {
        let one = try await result(["127.0.0.3", "127.0.0.1"], answersAfter: .milliseconds(50), proxied: proxied)
        #expect(one.result == ok)
        #expect(one.took < .seconds(25))
    }

    @Test func `the next address starts a moment after the one before`() async throws {
        var limits = WireFixture.limits
        limits.addressEvery = .milliseconds(100)
        let one = try await result(["127.0.0.3", "127.0.0.3", "127.0.0.3", "127.0.0.1"], limits: limits)
        #expect(one.result == ok)
        #expect(one.took >= .milliseconds(300))
    }

    @Test func `the next address starts at once where one refuses`() async throws {
        var limits = WireFixture.limits
        limits.addressEvery = .seconds(50)
        #expect(try await result(["127.0.0.4", "127.0.0.4", "127.0.0.1"], limits: limits).result == ok)
    }

    @Test func `the first to connect wins, and no other connects after it`() async throws {
        let one = try await result(["127.0.0.1", "127.0.0.1", "127.0.0.1"])
        #expect(one.result == ok)
        #expect(one.accepted == 1)
    }

    @Test func `addresses that swallow packets are a time-out, and those that refuse say so`() async throws {
        var limits = WireFixture.limits
        limits.headWithin = .milliseconds(800)
        #expect(try await result(["127.0.0.3", "127.0.0.3"], limits: limits).result == .failed(.timedOut))
        #expect(try await result(["127.0.0.4", "127.0.0.4"]).result == .failed(.connectionRefused))
        #expect(try await result(["127.0.0.4", "127.0.0.3"], limits: limits).result == .failed(.timedOut))
    }

    @Test func `only some of many addresses are tried`() async throws {
        let refusing = Array(repeating: "127.0.0.4", count: WireLimits().addressesTried)
        #expect(try await result(refusing.dropLast() + ["127.0.0.1"]).result == ok)
        #expect(try await result(refusing + ["127.0.0.1"]).result == .failed(.connectionRefused))
    }

    /// The proxy hears in which order the addresses are tried, and refuses each.
    @Test func `the families take turns, beginning with the first`() async throws {
        let proxy = try await TunnelProxy.start { _ in "HTTP/1.1 502 No\r\n\r\n" }
        for (found, tried) in [
            (
                ["2606:4700::1", "2606:4700::2", "2606:4700::3", "127.0.0.1", "127.0.0.2"],
                ["[2606:4700::1]", "127.0.0.1", "[2606:4700::2]", "127.0.0.2", "[2606:4700::3]"]
            ),
            (["127.0.0.1", "127.0.0.2", "2606:4700::1"], ["127.0.0.1", "[2606:4700::1]", "127.0.0.2"]),
        ] {
            let wire = try WireFixture(
                proxy: EgressProxy("http://127.0.0.1:\(proxy.port)"), lookup: { _ in try Self.addresses(found) })
            let before = proxy.log.value.targets.count
            try wire.post(1, to: "http://both.example:9/")
            #expect(try await wire.result(of: 1) == .failed(.connectionRefused))
            #expect(proxy.log.value.targets.dropFirst(before).elementsEqual(tried.map { "\($0):9" }))
            await wire.end(expecting: 1)
        }
        try await proxy.stop()
    }
}
