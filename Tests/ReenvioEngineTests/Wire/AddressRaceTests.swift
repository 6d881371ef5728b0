import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Synchronization
import Testing

/// Names with several addresses (RFC 8305): attempts to the judged ones overlap, the first to connect wins, and the
/// time is the receiver's.
@Suite(.timeLimit(.minutes(1)))
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

    /// With the time shared out among two addresses, nothing would be left for an answer that takes this long.
    @Test(arguments: [false, true])
    func `the time is the receiver's, whatever its first address swallows`(proxied: Bool) async throws {
        var limits = WireFixture.limits
        limits.headWithin = .seconds(4)
        let one = try await result(
            ["127.0.0.3", "127.0.0.1"], answersAfter: .milliseconds(2_500), limits: limits, proxied: proxied)
        #expect(one.result == ok)
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

/// After a failure that speaks of the machine the next attempt asks for the name and dials anew; after an answer about
/// the message it does not (`docs/contract.md` 3.4).
@Suite(.timeLimit(.minutes(1)))
struct RenewalTests {
    /// A wire to a receiver that answers with these codes in turn and then with 200, and how often its name was asked.
    private func withCodes(
        _ codes: [Int], renewEvery: Duration, lookupEvery: Duration,
        test: (WireFixture, RudeReceiver, _ asked: @escaping () -> Int) async throws -> Void
    ) async throws {
        let receiver = try await RudeReceiver.start { heard in
            let code = codes.indices.contains(heard.number - 1) ? codes[heard.number - 1] : 200
            return [.send("HTTP/1.1 \(code) X\r\ncontent-length: 0\r\n\r\n")]
        }
        var limits = WireFixture.limits
        (limits.renewEvery, limits.lookupEvery) = (renewEvery, lookupEvery)
        let lookups = Watched(0)
        let wire = try WireFixture(limits: limits) { _ in
            lookups.change { $0 += 1 }
            return [try #require(IPAddress("127.0.0.1"))]
        }
        try await test(wire, receiver) { lookups.value }
        await wire.end(expecting: wire.results.value.count)
        try await receiver.stop()
    }

    @Test(arguments: [500, 502, 503, 504, 599, 408, 425, 429])
    func `after an answer of a machine in trouble the next attempt resolves and dials anew`(code: Int) async throws {
        try await withCodes([200, code], renewEvery: .zero, lookupEvery: .zero) {
            (wire, receiver, asked) async throws in
            for _ in 1...2 { _ = try await wire.exchange(with: receiver, host: "moving.example") }
            #expect(receiver.log.value.accepted == 1)
            #expect(asked() == 1)
            for _ in 1...2 { _ = try await wire.exchange(with: receiver, host: "moving.example") }
            #expect(receiver.log.value.accepted == 2)
            #expect(asked() == 2)
        }
    }

    @Test(arguments: [201, 204, 301, 400, 401, 404, 409, 410, 422])
    func `an answer about the message changes nothing`(code: Int) async throws {
        try await withCodes([code, code], renewEvery: .zero, lookupEvery: .zero) {
            (wire, receiver, asked) async throws in
            for _ in 1...3 { _ = try await wire.exchange(with: receiver, host: "moving.example") }
            #expect(receiver.log.value.accepted == 1)
            #expect(asked() == 1)
        }
    }

    @Test func `a machine that only fails is dialed anew each time, its name asked for once a while`() async throws {
        try await withCodes(
            [503, 503, 503, 503], renewEvery: .seconds(3_600), lookupEvery: .seconds(3_600)
        ) { (wire, receiver, asked) async throws in
            for _ in 1...4 { _ = try await wire.exchange(with: receiver, host: "moving.example") }
            #expect(receiver.log.value.accepted == 4)
            #expect(asked() == 1)
        }
    }

    /// One message in ten is answered 500, at full speed: that costs a connection or two, not one each.
    @Test func `failures among good answers cost few connections`() async throws {
        let codes = (1...300).map { $0 % 10 == 0 ? 500 : 200 }
        try await withCodes(codes, renewEvery: .seconds(3_600), lookupEvery: .seconds(3_600)) {
            (wire, receiver, asked) async throws in
            for _ in 1...300 { _ = try await wire.exchange(with: receiver, host: "moving.example") }
            #expect(receiver.log.value.accepted == 2)
            #expect(asked() == 1)
        }
    }

    @Test func `connections that idle close with the one that failed`() async throws {
        let latch = Latch()
        let receiver = try await RudeReceiver.start { heard in
            switch heard.number {
            case 1...4: [.wait(latch), .send(WireFixture.ok)]
            case 5: [.send("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")]
            default: [.send(WireFixture.ok)]
            }
        }
        let wire = try WireFixture()
        for id in 1...4 { try wire.post(id, to: "http://127.0.0.1:\(receiver.port)/") }
        try await receiver.log.wait(for: "four connections") { $0.requests.count == 4 }
        latch.open()
        for id in 1...4 { _ = try await wire.result(of: id) }
        #expect(receiver.log.value.open == 4)
        _ = try await wire.exchange(with: receiver)
        try await receiver.log.wait(for: "every connection is closed") { $0.open == 0 }
        _ = try await wire.exchange(with: receiver)
        #expect(receiver.log.value.accepted == 5)
        await wire.end(expecting: 6)
        try await receiver.stop()
    }

    @Test func `a name that moved is found where the old machine is gone`() async throws {
        let receiver = try await RudeReceiver.start { _ in [.send(WireFixture.ok)] }
        let asked = Mutex(0)
        var limits = WireFixture.limits
        limits.lookupEvery = .zero
        let wire = try WireFixture(limits: limits) { _ in
            let isFirst = asked.withLock { asked in
                asked += 1
                return asked == 1
            }
            return [try #require(IPAddress(isFirst ? "127.0.0.4" : "127.0.0.1"))]
        }
        #expect(try await wire.exchange(with: receiver, host: "moving.example") == .failed(.connectionRefused))
        guard case .answered = try await wire.exchange(with: receiver, host: "moving.example") else {
            return #expect(Bool(false), "the old address was dialed again")
        }
        await wire.end(expecting: 2)
        try await receiver.stop()
    }
}
