import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Synchronization
import Testing

/// After a failure that speaks of the machine the next attempt asks for the name and dials anew; after an answer about
/// the message it does not (`docs/contract.md` 3.4).
@Suite(.timeLimit(.minutes(5)))
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
