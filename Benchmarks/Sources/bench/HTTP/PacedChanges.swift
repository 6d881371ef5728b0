import NIOCore

/// Single status changes at a steady pace, whatever the answers take: what a ledger sends on an ordinary day.
struct PacedChanges: Sendable {
    struct Result: Sendable {
        var seconds: Double
        /// Of each change from the moment it was sent, in ms, the shortest first.
        var waits: [Double]
        var othersPercent: Double

        func percentile(_ percent: Int) -> Double {
            waits[min(waits.count - 1, waits.count * percent / 100)]
        }
    }

    let server: ServerUnderTest
    let connections: Int
    let perSecond: Int

    /// Reports each of these payouts as paid.
    func run(_ ids: ClosedRange<Int>) async throws -> Result {
        let meter = try Meter(server.pid)
        let began = ContinuousClock.now
        let waits = try await withThrowingTaskGroup(of: [Double].self) { tasks in
            for connection in 0..<connections {
                tasks.addTask { try await send(ids.dropFirst(connection), from: began, offset: connection) }
            }
            return try await tasks.reduce(into: []) { $0 += $1 }
        }
        let reading = try meter.read()
        return Result(seconds: reading.seconds, waits: waits.sorted(), othersPercent: reading.othersPercent)
    }

    /// Every change of one connection; one that is late makes the next ones late, but none is left out.
    private func send(
        _ ids: ClosedRange<Int>.SubSequence, from began: ContinuousClock.Instant, offset: Int
    ) async throws -> [Double] {
        let caller = try await Caller.connect(to: server.address)
        var waits: [Double] = []
        for (turn, id) in ids.enumerated() where turn.isMultiple(of: connections) {
            try await Task.sleep(until: began + .seconds(Double(turn + offset) / Double(perSecond)), clock: .continuous)
            let request = Request(
                path: "/v2/payout/payments/\(id)/transition", headers: server.headers(), body: PayoutTexts.paid(id: id))
            let sent = ContinuousClock.now
            let answer = try await caller.call(request)
            waits.append((ContinuousClock.now - sent).seconds * 1_000)
            guard answer.status == 200 else { throw Failure("payout \(id) was answered with \(answer.status)") }
        }
        try await caller.close()
        return waits
    }
}
