/// Several waves of live changes, each from its first change sent to its last webhook acknowledged.
struct Waves {
    private let count: Int
    private let payouts: Int
    private(set) var seconds: [Double] = []
    private(set) var microsecondsEach = 0.0
    private(set) var othersPercent = 0.0

    /// - Parameter payouts: in each wave.
    init(count: Int, payouts: Int) {
        self.count = count
        self.payouts = payouts
    }

    var median: Double { seconds.sorted()[seconds.count / 2] }
    var longest: Double { seconds.max() ?? 0 }

    /// Runs waves one after the other, at least `pause` from the end of one to the beginning of the next.
    static func run(
        _ count: Int, of payouts: Int, _ ids: inout ArraySlice<Int>, pause: Duration = .zero, _ server: ServerUnderTest,
        _ receiver: Receiver
    ) async throws -> Waves {
        var waves = Waves(count: count, payouts: payouts)
        for _ in 0..<count {
            waves.add(try await wave(ids.popFirst(payouts), server, receiver))
            if pause > .zero { try await Task.sleep(for: pause) }
        }
        return waves
    }

    private mutating func add(_ reading: Meter.Reading) {
        seconds.append(reading.seconds)
        microsecondsEach += Double(reading.cpuMicroseconds) / Double(payouts * count)
        othersPercent += reading.othersPercent / Double(count)
    }

    /// Reports these payouts as paid, 1,000 in a request on 4 connections, and waits until each webhook has come.
    private static func wave(
        _ ids: [Int], _ server: ServerUnderTest, _ receiver: Receiver
    ) async throws -> Meter.Reading {
        receiver.expect(ids.count)
        let work = ListWork(Load(server: server).batches(ids), expecting: 200)
        let meter = try Meter(server.pid)
        let began = try await Pump.run(work, connections: 4, to: server.address).began
        let received = try await receiver.reached(within: .seconds(60))
        var reading = try meter.read()
        reading.seconds = (received - began).seconds
        return reading
    }
}

extension ArraySlice {
    /// Takes the first `count` out.
    mutating func popFirst(_ count: Int) -> [Element] {
        let first = Array(prefix(count))
        self = dropFirst(count)
        return first
    }
}
