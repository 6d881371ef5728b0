import ArgumentParser

struct BacklogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backlog",
        abstract: "What live delivery costs, and how much memory a server takes, while very much waits."
    )

    @OptionGroup var common: CommonOptions
    @OptionGroup var options: ServerOptions

    @Option(help: "Deliveries that wait behind a paused receiver.")
    var waiting = 1_000_000

    @Option(help: "The same for comparison of memory.")
    var few = 1_000

    @Option(help: "Live changes of another merchant in each wave.")
    var payouts = 10_000

    @Option(help: "Waves before and after the backlog is there, and again after a new start.")
    var waves = 5

    @Option(help: "Seconds for which the backlog then drains.")
    var drain = 5

    private static let otherMerchant = 404
    /// So many were imported for each second of the window, which has at most three hours.
    private static let perSecond = 100

    func validate() throws {
        guard (1...1_000_000).contains(waiting), (1...waiting).contains(few), waves > 0 else {
            throw ValidationError("waiting must be 1 to 1000000, few 1 to waiting, waves at least 1")
        }
    }

    func run() async throws {
        Output.machine()
        let columns: [Table.Column] = [
            .init("us none", digits: 1), .init("s none", digits: 3), .init("us waiting", digits: 1),
            .init("s waiting", digits: 3), .init("ratio us", digits: 3), .init("ratio s", digits: 3),
            .init("enqueued/s"), .init("idle MiB", digits: 1), .init("live MiB", digits: 1),
            .init("drain MiB", digits: 1), .init("drained/s"), .init("others %"),
        ]
        let what = "Waves of \(payouts) live changes, then while deliveries of another merchant wait"
        var ofFew = Table("\(what): \(few)", columns)
        var ofMany = Table("\(what): \(waiting)", columns)
        var memory = Table(
            "Peak memory with \(waiting) waiting over that with \(few)",
            [.init("live", digits: 3), .init("draining", digits: 3)])
        for _ in 0..<common.runs {
            let small = try await measure(few)
            let large = try await measure(waiting)
            ofFew.add(small)
            ofMany.add(large)
            memory.add([large[8] / small[8], large[9] / small[9]])
        }
        ofFew.print()
        ofMany.print()
        memory.print()
        Output.line(
            """
            us: CPU of the server per live webhook, intake included; s: from a wave's first change to its last
            acknowledgement, medians of \(waves); none: before the resend, waiting: after it, the payouts are stored in
            both cases. MiB: peaks of a server started anew on that store: before it does anything, after the same
            waves, and after \(drain) s in which what waits is delivered.
            """
        )
    }

    private func measure(_ waiting: Int) async throws -> [Double] {
        let (live, other) = (Receiver(), Receiver())
        let (liveAddress, otherAddress) = (try await live.start(), try await other.start())
        let merchants = [ServerUnderTest.merchantID, Self.otherMerchant]
        let row = try await FreshStore.with(options.binary, merchants: merchants) { store in
            var ids = try store.importPayouts(
                0..<payouts * (3 * waves + 1), .at(liveAddress, status: PayoutTexts.waitingStatus))[...]
            let first = ids.count
            let opener = try store.importPayouts(
                first..<first + 1, .at(otherAddress, merchantID: Self.otherMerchant, status: PayoutTexts.waitingStatus))
            try store.importPayouts(
                first + 1..<first + 1 + waiting, .at(otherAddress, merchantID: Self.otherMerchant))
            let before = try await ServerUnderTest.with(store) { server in
                try await pause(server, other, opener)
                _ = try await Waves.run(1, of: payouts, &ids, server, live)
                let none = try await Waves.run(waves, of: payouts, &ids, server, live)
                let job = try await enqueue(waiting, from: first + 1, server)
                let beside = try await Waves.run(waves, of: payouts, &ids, server, live)
                _ = try await eventually("exactly \(waiting) open deliveries", within: .seconds(5)) {
                    try server.number("SELECT count(*) FROM deliveries") == waiting ? true : nil
                }
                return (none: none, beside: beside, enqueuing: (job.enqueued - job.began).seconds)
            }
            let after = try await ServerUnderTest.with(store) { server in
                try await memory(server, &ids, live, other)
            }
            let (none, beside) = (before.none, before.beside)
            return [
                none.microsecondsEach, none.median, beside.microsecondsEach, beside.median,
                beside.microsecondsEach / none.microsecondsEach, beside.median / none.median,
                Double(waiting) / before.enqueuing, after.idle, after.live, after.drain, after.drainedPerSecond,
                max(none.othersPercent, beside.othersPercent),
            ]
        }
        try await live.stop()
        try await other.stop()
        return row
    }

    /// Delivers one webhook, so that the receiver is known, and pauses it.
    private func pause(_ server: ServerUnderTest, _ receiver: Receiver, _ opener: [Int]) async throws {
        receiver.expect(1)
        let opening = ListWork(Load(server: server).batches(opener), expecting: 200)
        try await Pump.run(opening, connections: 1, to: server.address)
        _ = try await receiver.reached(within: .seconds(20))
        try await command("pause", server)
        receiver.expect()
    }

    private func command(_ verb: String, _ server: ServerUnderTest) async throws {
        let receiver = try server.number("SELECT id FROM receivers WHERE merchant_id = \(Self.otherMerchant)")
        let request = Request(method: "POST", path: "/v2/receivers/\(receiver)/\(verb)", headers: server.headers())
        let work = ListWork([request.bytes(host: server.address.description)], expecting: 200)
        try await Pump.run(work, connections: 1, to: server.address)
    }

    private func enqueue(_ count: Int, from first: Int, _ server: ServerUnderTest) async throws -> ResendJob {
        let start = PayoutTexts.importedFrom + 300 + first / Self.perSecond
        let body = PayoutTexts.resend(
            from: start, to: start + count / Self.perSecond + 1, merchantID: Self.otherMerchant)
        return try await ResendJob.dispatch(body, of: count, to: server, every: .milliseconds(100))
    }

    /// Peaks of a server that was just started, in MiB.
    private struct Memory {
        var idle = 0.0
        var live = 0.0
        var drain = 0.0
        var drainedPerSecond = 0.0
    }

    private func memory(
        _ server: ServerUnderTest, _ ids: inout ArraySlice<Int>, _ live: Receiver, _ other: Receiver
    ) async throws -> Memory {
        func peak() throws -> Double { Double(try ProcessUsage(of: server.pid).peakKiB) / 1_024 }
        var memory = Memory()
        memory.idle = try peak()
        _ = try await Waves.run(waves, of: payouts, &ids, server, live)
        memory.live = try peak()
        try await command("resume", server)
        try await Task.sleep(for: .seconds(drain))
        memory.drain = try peak()
        memory.drainedPerSecond = Double(other.requests) / Double(drain)
        return memory
    }
}
