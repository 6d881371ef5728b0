import Foundation
import Metrics
import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Synchronization
import Testing

/// A wire to receivers on this machine, and everything that its callbacks said.
struct WireFixture: Sendable {
    static let ok = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"

    /// The product's limits, but for those that a test would have to wait for.
    static var limits: WireLimits {
        var limits = WireLimits()
        // Beside all the other tests it may take seconds until a test goes on.
        limits.headWithin = .seconds(60)
        limits.bodyWithin = .seconds(60)
        limits.sweepEvery = .milliseconds(20)
        limits.idleConnection = .seconds(600)
        limits.connectionAge = .seconds(600)
        return limits
    }

    /// As above, with a head and a body due soon: for answers that never come.
    static var hastyLimits: WireLimits {
        var limits = Self.limits
        limits.headWithin = .milliseconds(400)
        limits.bodyWithin = .milliseconds(300)
        return limits
    }

    /// As above, with time for the head, however busy the machine is, and none for the body.
    static var hastyBodyLimits: WireLimits {
        var limits = Self.hastyLimits
        limits.headWithin = .seconds(60)
        return limits
    }

    let transport: WireTransport
    let policy: AddressPolicy
    /// Requests sent again on another connection.
    let repeats = Tally()
    let results = Watched<[Int: [WireResult]]>([:])
    let durations = Watched<[Int: Duration]>([:])

    init(
        limits: WireLimits = Self.limits, proxy: EgressProxy? = nil, trustRoots: String? = nil,
        allowed: String = "127.0.0.0/8", shortages: ShortageLog? = nil,
        lookup: @escaping Lookup = { _ in [try #require(IPAddress("127.0.0.1"))] },
        startThread: @escaping NameResolver.StartThread = { body in
            Thread.detachNewThread(body)
            return true
        }
    ) throws {
        policy = AddressPolicy(allowed: [try #require(CIDR(allowed))], allowHTTP: true)
        transport = try WireTransport(
            policy: policy, proxy: proxy, trustRoots: trustRoots, limits: limits,
            repeats: Counter(
                label: "repeats", dimensions: [], handler: repeats, factory: NOOPMetricsHandler.instance),
            shortages: shortages, lookup: lookup, startThread: startThread)
    }

    func url(_ text: String) throws -> ReceiverURL {
        try ReceiverURL(parsing: text, policy: policy)
    }

    func post(
        _ id: Int, to url: String, merchant: Int64 = 303, headers: [(name: String, value: String)] = [],
        lateHeaders: @escaping @Sendable (inout HeaderLines) -> Void = { _ in },
        body: [UInt8] = Array("{}".utf8), lane: Lane = .live, startWithin: Duration = .seconds(120)
    ) throws {
        let request = WireRequest(
            url: try self.url(url), merchantID: merchant, lane: lane, headers: headers, lateHeaders: lateHeaders,
            body: body, startBy: .now + startWithin
        )
        transport.send(request) { result, duration in
            durations.change { $0[id] = duration }
            results.change { $0[id, default: []].append(result) }
        }
    }

    func result(of id: Int) async throws -> WireResult {
        try await results.wait(for: "request \(id) ends") { $0[id] != nil }
        return try #require(results.value[id]?.first)
    }

    /// One request, to its result.
    func exchange(with receiver: RudeReceiver, scheme: String = "http", host: String = "127.0.0.1") async throws
        -> WireResult
    {
        let id = (results.value.keys.max() ?? 0) + 1
        try post(id, to: "\(scheme)://\(host):\(receiver.port)/hook")
        return try await result(of: id)
    }

    /// Shuts down, and checks that nothing is left open and that everybody was called exactly once.
    func end(expecting count: Int) async {
        await transport.shutdown()
        #expect(transport.openConnections == 0)
        let results = results.value
        #expect(results.count == count)
        #expect(results.values.allSatisfy { $0.count == 1 }, "a callback came twice: \(results)")
    }
}

/// Counts what a counter of swift-metrics is told.
final class Tally: CounterHandler {
    private let count = Atomic<Int64>(0)

    var value: Int64 { count.load(ordering: .relaxed) }

    func increment(by amount: Int64) { count.add(amount, ordering: .relaxed) }
    func reset() {}
}

/// One receiver with one script, and a wire; both end with the test.
func withReceiver(
    limits: WireLimits = WireFixture.limits, at moment: RudeReceiver.Moment = .requestHeard, reads: Bool = true,
    script: @escaping @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act],
    test: (WireFixture, RudeReceiver) async throws -> Void
) async throws {
    let receiver = try await RudeReceiver.start(at: moment, reads: reads, script: script)
    let fixture = try WireFixture(limits: limits)
    try await test(fixture, receiver)
    await fixture.end(expecting: fixture.results.value.count)
    // One that does not read does not see it either.
    if reads { try await receiver.log.wait(for: "every connection is closed") { $0.open == 0 } }
    try await receiver.stop()
}
