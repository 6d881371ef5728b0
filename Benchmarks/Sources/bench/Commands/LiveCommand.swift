import ArgumentParser

struct LiveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "live",
        abstract: "Live delivery: from the first status change sent to the last outcome recorded."
    )

    @OptionGroup var common: CommonOptions
    @OptionGroup var options: ServerOptions

    @Option(help: "Payouts, each paid once.")
    var payouts = 20_000

    @Option(help: "Connections that report the changes.")
    var reporters = 4

    @Flag(help: "Report each change in a request of its own, and show how long a webhook takes after the answer.")
    var single = false

    func run() async throws {
        Output.machine()
        let how = single ? "one change per request" : "\(Load.changesPerRequest) changes per request"
        let columns: [Table.Column] =
            [
                .init("delivered/s"), .init("recorded/s"), .init("blast/s"), .init("ratio", digits: 3),
                .init("bare/s"), .init("to bare", digits: 3), .init("CPU us each", digits: 1),
                .init("PostgreSQL us", digits: 1), .init("repeated"), .init("peak MiB"), .init("fdatasync/s"),
                .init("others %"),
            ] + (single ? [.init("p50 ms", digits: 1), .init("p99 ms", digits: 1)] : [])
        var tables = Tables(
            options.kinds, "Live delivery of \(payouts) changes, \(how) on \(reporters) connections", columns)
        try await Stage.with { stage in
            for _ in 0..<common.runs {
                for kind in options.kinds {
                    tables.add(
                        kind, try await ServerUnderTest.with(options.binary, on: kind) { try await measure($0, stage) })
                }
            }
        }
        tables.print(ratioOf: "recorded/s")
        Output.line(
            """
            recorded: until the store shows no open delivery any more. ratio: recorded/s over blast/s, the reference.
            bare: a blast of ready-made bytes.
            """
        )
    }

    private func measure(_ server: ServerUnderTest, _ stage: Stage) async throws -> [Double] {
        let load = Load(server: server)
        let ids = try await load.createPayouts(payouts, receiver: stage.address)
        let requests = single ? load.singles(ids) : load.batches(ids)
        let syncs = try server.syncsPerSecond()
        let answers = AnswerTimes()
        let (wave, blast) = try await stage.betweenBlasts(common.blast) { [single] in
            try await stage.deliver(
                requests, of: payouts, from: server, connections: reporters,
                remembering: single ? .arrivals : .webhookIDs, options.profiler
            ) { index, _ in
                if single { answers.note(ids[index]) }
            }
        }
        try stage.confirm(
            payouts, acknowledged: "SELECT count(*) FROM settled WHERE state = 'acknowledged'", in: server
        )
        let rate = Double(payouts) / wave.untilRecorded
        let waits = answers.waits(until: wave.arrivals)
        return [
            Double(payouts) / wave.untilReceived, rate, blast.reference, rate / blast.reference, blast.bare,
            rate / blast.bare,
            Double(wave.meter.cpuMicroseconds) / Double(payouts),
            Double(wave.meter.postgresMicroseconds) / Double(payouts), Double(wave.repeated),
            Double(wave.meter.peakKiB) / 1_024, syncs,
            max(wave.meter.othersPercent, blast.othersPercent),
        ] + (single ? [waits[waits.count / 2], waits[waits.count * 99 / 100]] : [])
    }
}
