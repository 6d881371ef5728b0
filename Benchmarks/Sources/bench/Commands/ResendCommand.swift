import ArgumentParser
import Foundation

struct ResendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resend",
        abstract: "A bulk resend of stored payouts: how fast it is enqueued, and how fast it is delivered."
    )

    @OptionGroup var common: CommonOptions
    @OptionGroup var options: ServerOptions

    @Option(help: "Payouts that are paid and acknowledged first, and then sent again.")
    var payouts = 100_000

    func run() async throws {
        Output.machine()
        var tables = Tables(
            options.kinds, "Resend of \(payouts) payouts",
            [
                .init("enqueue s", digits: 2), .init("enqueued/s"), .init("drain s", digits: 2), .init("delivered/s"),
                .init("recorded/s"), .init("blast/s"), .init("ratio", digits: 3), .init("bare/s"),
                .init("to bare", digits: 3), .init("CPU us each", digits: 1), .init("PostgreSQL us", digits: 1),
                .init("repeated"), .init("peak MiB"), .init("fdatasync/s"), .init("others %"),
            ]
        )
        try await Stage.with { stage in
            for _ in 0..<common.runs {
                for kind in options.kinds {
                    tables.add(
                        kind, try await ServerUnderTest.with(options.binary, on: kind) { try await measure($0, stage) })
                }
            }
        }
        tables.print(ratioOf: "delivered/s")
        Output.line(
            """
            enqueue: from dispatch until the job's status says queued == total. drain: from dispatch to the last
            acknowledgement. recorded: until the store shows no open delivery any more. ratio: delivered/s over blast/s,
            the reference. bare: a blast of ready-made bytes.
            """
        )
    }

    private func measure(_ server: ServerUnderTest, _ stage: Stage) async throws -> [Double] {
        let load = Load(server: server)
        let start = CivilTime.nowSeconds - 60
        let ids = try await load.createPayouts(payouts, receiver: stage.address)
        _ = try await stage.deliver(load.batches(ids), of: payouts, from: server, connections: 4)
        let syncs = try server.syncsPerSecond()
        let body = PayoutTexts.resend(from: start, to: CivilTime.nowSeconds + 60)
        let ((job, wave), blast) = try await stage.betweenBlasts(common.blast) {
            var job: ResendJob?
            let wave = try await stage.wave(of: payouts, from: server, options.profiler) {
                let dispatched = try await ResendJob.dispatch(body, of: payouts, to: server)
                job = dispatched
                return dispatched.began
            }
            return (job, wave)
        }
        guard let job else { throw Failure("no job was dispatched") }
        try stage.confirm(payouts, acknowledged: "SELECT sum(delivered) FROM resend_tallies", in: server)
        let enqueued = (job.enqueued - job.began).seconds
        let deliveredRate = Double(payouts) / wave.untilReceived
        return [
            enqueued, Double(payouts) / enqueued, wave.untilReceived, deliveredRate,
            Double(payouts) / wave.untilRecorded, blast.reference, deliveredRate / blast.reference, blast.bare,
            deliveredRate / blast.bare,
            Double(wave.meter.cpuMicroseconds) / Double(payouts),
            Double(wave.meter.postgresMicroseconds) / Double(payouts), Double(wave.repeated),
            Double(wave.meter.peakKiB) / 1_024, syncs,
            max(wave.meter.othersPercent, blast.othersPercent),
        ]
    }
}
