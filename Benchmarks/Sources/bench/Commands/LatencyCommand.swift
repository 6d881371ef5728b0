import ArgumentParser

struct LatencyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "latency",
        abstract: "From the answer to a single change to its webhook's acknowledgement, alone and beside a bulk resend."
    )

    @OptionGroup var common: CommonOptions
    @OptionGroup var options: ServerOptions

    @Option(help: "Payouts that are sent again.")
    var resent = 200_000

    @Option(help: "Changes per second.")
    var pace = 1_000

    @Option(help: "Seconds at that pace alone.")
    var seconds = 10

    @Option(help: "Connections that send them.")
    var reporters = 32

    private static let otherMerchant = 404
    /// A resend that takes longer than this is not watched any further.
    private static let besideSeconds = 40

    func run() async throws {
        Output.machine()
        let columns: [Table.Column] = [
            .init("p50 ms", digits: 2), .init("p99 ms", digits: 2), .init("p50 beside", digits: 2),
            .init("p99 beside", digits: 2), .init("ratio", digits: 2), .init("longest", digits: 1),
            .init("answer p99", digits: 2), .init("beside", digits: 2), .init("changes"), .init("resend s", digits: 1),
            .init("resent/s"), .init("others %"),
        ]
        let what = "\(pace) single changes/s, beside a resend of \(resent)"
        var apart = Table("\(what) of another merchant to another receiver", columns)
        var together = Table("\(what) of the same merchant to the same receiver", columns)
        for _ in 0..<common.runs {
            apart.add(try await measure(resentMerchant: Self.otherMerchant))
            together.add(try await measure(resentMerchant: ServerUnderTest.merchantID))
        }
        apart.print()
        together.print()
        Output.line(
            """
            From the answer to a change to its webhook's arrival at the receiver, which acknowledges at once; alone for
            \(seconds) s, then of all changes due while the resend had open deliveries. answer: from when the change was
            due to its answer.
            """
        )
    }

    private func measure(resentMerchant: Int) async throws -> [Double] {
        let (live, other) = (Receiver(), Receiver())
        let liveAddress = try await live.start()
        let isSame = resentMerchant == ServerUnderTest.merchantID
        let resentAddress = isSame ? liveAddress : try await other.start()
        let merchants = [ServerUnderTest.merchantID, Self.otherMerchant]
        let row = try await FreshStore.with(options.binary, merchants: merchants) { store in
            let count = pace * (2 + seconds + Self.besideSeconds)
            var ids = try store.importPayouts(
                0..<count, .at(liveAddress, status: PayoutTexts.waitingStatus))[...]
            try store.importPayouts(count..<count + resent, .at(resentAddress, merchantID: resentMerchant))
            return try await ServerUnderTest.with(store) { server in
                _ = try await paced(ids.popFirst(2 * pace), server, live)
                let meter = try Meter(server.pid)
                let alone = try await paced(ids.popFirst(seconds * pace), server, live)
                let (beside, resend) = try await options.profiler.part("\(resentMerchant)").during(server.pid) {
                    try await besideResend(Array(ids), server, live, resentFrom: count, of: resentMerchant)
                }
                let others = try meter.read().othersPercent
                let (before, after) = (alone.waits(), beside.waits(within: resend))
                let answers = (alone.answers(), beside.answers(within: resend))
                let took = (resend.upperBound - resend.lowerBound).seconds
                return [
                    before.percentile(50), before.percentile(99), after.percentile(50), after.percentile(99),
                    after.percentile(99) / before.percentile(99), after.last ?? 0, answers.0.percentile(99),
                    answers.1.percentile(99), Double(after.count), took, Double(resent) / took, others,
                ]
            }
        }
        try await live.stop()
        try await other.stop()
        return row
    }

    private typealias Moments = ClosedRange<ContinuousClock.Instant>

    /// What happened to single changes.
    private struct Watched {
        var times: [PacedPump.Times]
        var arrivals: [ContinuousClock.Instant]

        /// From answer to arrival, in ms, the shortest first; 0 where the webhook was faster.
        func waits(within moments: Moments? = nil) -> [Double] {
            zip(times, arrivals).filter { moments?.contains($0.0.due) ?? true }
                .map { max(0, ($1 - $0.answered).seconds * 1_000) }.sorted()
        }

        func answers(within moments: Moments? = nil) -> [Double] {
            times.filter { moments?.contains($0.due) ?? true }
                .map { max(0, ($0.answered - $0.due).seconds * 1_000) }.sorted()
        }
    }

    /// Pays these payouts one by one until there are no more or `stop` is raised, and waits for every webhook.
    private func paced(
        _ ids: [Int], _ server: ServerUnderTest, _ receiver: Receiver, until stop: PacedPump.Stop = .init()
    ) async throws -> Watched {
        let requests = Load(server: server).singles(ids)
        receiver.expect(ids.count, remembering: .arrivals)
        let pump = PacedPump(connections: reporters, perSecond: pace)
        let times = try await pump.run(requests, to: server.address, until: stop)
        let arrivals = try await eventually("the webhooks of all changes", within: .seconds(20)) {
            let arrivals = receiver.arrivals
            return times.keys.allSatisfy { arrivals[ids[$0]] != nil } ? arrivals : nil
        }
        let order = times.keys.sorted()
        return Watched(times: order.compactMap { times[$0] }, arrivals: order.compactMap { arrivals[ids[$0]] })
    }

    /// The same from a resend's dispatch until none of its deliveries is open.
    private func besideResend(
        _ ids: [Int], _ server: ServerUnderTest, _ receiver: Receiver, resentFrom first: Int, of merchantID: Int
    ) async throws -> (Watched, Moments) {
        let stop = PacedPump.Stop()
        let start = PayoutTexts.importedFrom + 300 + first / 100
        let body = PayoutTexts.resend(from: start, to: start + resent / 100, merchantID: merchantID)
        async let watched = paced(ids, server, receiver, until: stop)
        try await Task.sleep(for: .seconds(1))
        let job = try await ResendJob.dispatch(body, of: resent, to: server, every: .milliseconds(200))
        let ended = try await eventually("the end of the resend", within: .seconds(120), every: .milliseconds(250)) {
            let done = try server.number("SELECT coalesce(sum(delivered), 0) FROM resend_tallies")
            return done == resent ? ContinuousClock.now : nil
        }
        stop.raise()
        return (try await watched, job.began...ended)
    }
}

extension [Double] {
    /// Of values in ascending order.
    func percentile(_ percent: Int) -> Double {
        isEmpty ? 0 : self[Swift.min(count - 1, count * percent / 100)]
    }
}
