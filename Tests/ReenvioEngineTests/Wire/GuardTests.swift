import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Synchronization
import Testing

/// The guard dials what it judged, and nothing else (`docs/architecture.md` rule 10). The receivers listen on all of
/// 127.0.0.0/8; the policy lets only 127.0.0.1 through, so every connection to another address would be counted.
@Suite(.timeLimit(.minutes(5)))
struct GuardTests {
    private let ok: WireResult = .answered(WireAnswer(statusCode: 200, body: Array("ok".utf8)))

    /// A wire that may go to 127.0.0.1 only, and a receiver that listens everywhere.
    private func withGuard(
        lookup: @escaping Lookup, limits: WireLimits = WireFixture.limits,
        test: (WireFixture, RudeReceiver) async throws -> Void
    ) async throws {
        let receiver = try await RudeReceiver.start(host: "0.0.0.0") { _ in [.send(WireFixture.ok)] }
        let fixture = try WireFixture(limits: limits, allowed: "127.0.0.1/32", lookup: lookup)
        try await test(fixture, receiver)
        await fixture.end(expecting: fixture.results.value.count)
        try await receiver.stop()
    }

    private static func addresses(_ texts: String...) throws -> [IPAddress] {
        try texts.map { try #require(IPAddress($0)) }
    }

    /// The receiver would have seen a connection: one more arrives, and is the first.
    private func expectNoneCame(to receiver: RudeReceiver, beside wire: WireFixture) async throws {
        #expect(receiver.log.value.accepted == 0)
        let control = try WireFixture(lookup: { _ in try Self.addresses("127.0.0.2") })
        #expect(try await control.exchange(with: receiver, host: "control.example") == ok)
        #expect(receiver.log.value.accepted == 1)
        await control.end(expecting: 1)
    }

    @Test func `a forbidden address gets no connection`() async throws {
        try await withGuard(lookup: { _ in try Self.addresses("127.0.0.2") }) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver, host: "bad.example") == .failed(.addressForbidden))
            try await expectNoneCame(to: receiver, beside: wire)
        }
    }

    @Test func `a good and a bad address together get no connection`() async throws {
        let lookup: Lookup = { name in
            name == "front.example"
                ? try Self.addresses("127.0.0.1", "127.0.0.2") : try Self.addresses("127.0.0.2", "127.0.0.1")
        }
        try await withGuard(lookup: lookup) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver, host: "front.example") == .failed(.addressForbidden))
            #expect(try await wire.exchange(with: receiver, host: "back.example") == .failed(.addressForbidden))
            try await expectNoneCame(to: receiver, beside: wire)
        }
    }

    @Test func `addresses beyond those tried are judged too`() async throws {
        let many = try (1...20).map { _ in try #require(IPAddress("127.0.0.1")) } + Self.addresses("127.0.0.2")
        try await withGuard(lookup: { _ in many }) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver, host: "many.example") == .failed(.addressForbidden))
            try await expectNoneCame(to: receiver, beside: wire)
        }
    }

    /// The name server gives a good address first and then a forbidden one, always alternating: whatever is dialed
    /// was judged, because it is the answer that was judged.
    @Test func `a name that changes its answer gains nothing`() async throws {
        let asked = Mutex(0)
        let lookup: Lookup = { _ in
            let isGood = asked.withLock { asked in
                asked += 1
                return asked % 2 == 1
            }
            return try Self.addresses(isGood ? "127.0.0.1" : "127.0.0.2")
        }
        var limits = WireFixture.limits
        limits.lookupAnswerKept = .zero
        limits.connectionAge = .zero
        try await withGuard(lookup: lookup, limits: limits) { (wire, receiver) async throws in
            for _ in 1...4 {
                #expect(try await wire.exchange(with: receiver, host: "rebind.example") == ok)
                #expect(
                    try await wire.exchange(with: receiver, host: "rebind.example") == .failed(.addressForbidden)
                )
            }
            #expect(receiver.log.value.accepted == 4)
            #expect(asked.withLock { $0 } == 8)
        }
    }

    @Test func `the next judged address is tried when one refuses`() async throws {
        let receiver = try await RudeReceiver.start(host: "127.0.0.1") { _ in [.send(WireFixture.ok)] }
        let wire = try WireFixture(lookup: { _ in try Self.addresses("127.0.0.3", "127.0.0.1") })
        #expect(try await wire.exchange(with: receiver, host: "two.example") == ok)
        await wire.end(expecting: 1)
        try await receiver.stop()
    }

    @Test func `a name without an address is name_not_resolved`() async throws {
        let lookup: Lookup = { name in
            guard name == "empty.example" else { throw NameNotResolved() }
            return []
        }
        try await withGuard(lookup: lookup) { (wire, receiver) async throws in
            #expect(try await wire.exchange(with: receiver, host: "empty.example") == .failed(.nameNotResolved))
            #expect(try await wire.exchange(with: receiver, host: "none.example") == .failed(.nameNotResolved))
            #expect(receiver.log.value.accepted == 0)
        }
    }

    @Test func `a name server that never answers delays only its own receiver`() async throws {
        var limits = WireFixture.limits
        limits.lookupWithin = .seconds(1)
        limits.lookupsAtOnce = 4
        let gate = DispatchSemaphore(value: 0)
        let lookup: Lookup = { name in
            if name.hasPrefix("dead") { gate.wait() }
            return try Self.addresses("127.0.0.1")
        }
        try await withGuard(lookup: lookup, limits: limits) { (wire, receiver) async throws in
            for id in 1...40 { try wire.post(id, to: "http://dead\(id % 20).example:\(receiver.port)/") }
            for id in 1...40 { #expect(try await wire.result(of: id) == .failed(.nameNotResolved)) }
            try wire.post(41, to: "http://alive.example:\(receiver.port)/", merchant: 304)
            #expect(try await wire.result(of: 41) == ok)
            for _ in 1...40 { gate.signal() }
        }
    }

    /// No route leads to the broadcast address, so the kernel says no at once.
    @Test func `an address without a route is connection_failed`() async throws {
        let wire = try WireFixture(allowed: "255.255.255.255/32")
        try wire.post(1, to: "http://255.255.255.255:9/")
        #expect(try await wire.result(of: 1) == .failed(.connectionFailed))
        await wire.end(expecting: 1)
    }

    @Test func `a redirect to a forbidden address is an answer and no more`() async throws {
        let receiver = try await RudeReceiver.start(host: "0.0.0.0") { _ in
            [.send("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.2/\r\ncontent-length: 0\r\n\r\n")]
        }
        let wire = try WireFixture(allowed: "127.0.0.1/32")
        #expect(
            try await wire.exchange(with: receiver)
                == .answered(WireAnswer(statusCode: 302, location: "http://127.0.0.2/")))
        await wire.end(expecting: 1)
        #expect(receiver.log.value.accepted == 1)
        try await receiver.stop()
    }
}
