import ArgumentParser
import Foundation

struct IntakeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "intake",
        abstract: "Status changes accepted, their deliveries written but not yet due; in batches and one by one."
    )

    @OptionGroup var common: CommonOptions
    @OptionGroup var options: ServerOptions

    @Option(help: "Payouts paid in batches.")
    var payouts = 100_000

    @Option(help: "Payouts paid one by one.")
    var singles = 50_000

    @Option(help: "Connections that report batches.")
    var reporters = 4

    func run() async throws {
        Output.machine()
        var batches = Table(
            "Intake, \(Load.changesPerRequest) changes per request on \(reporters) connections, synchronous=FULL",
            [
                .init("created/s"), .init("changes/s"), .init("CPU us each", digits: 1), .init("peak MiB"),
                .init("others %"), .init("fdatasync/s"),
            ]
        )
        var ones = Table(
            "Intake, one change per request on \(common.connections) connections, synchronous=FULL",
            [
                .init("changes/s"), .init("empty/s"), .init("ratio", digits: 3), .init("CPU us each", digits: 1),
                .init("others %"), .init("fdatasync/s"),
            ]
        )
        let empty = try await Listener.start(Self.emptyServer, [])
        do {
            for _ in 0..<common.runs {
                try await ServerUnderTest.with(options.binary, schedule: "1h,1h") { server in
                    let syncs = try server.syncsPerSecond()
                    batches.add(try await measureBatches(server) + [syncs])
                    ones.add(try await measureSingles(server, empty) + [syncs])
                }
            }
        } catch {
            await empty.child.stop()
            throw error
        }
        await empty.child.stop()
        batches.print()
        ones.print()
        Output.line(
            """
            created: one payout per request, 64 connections. empty: a Hummingbird endpoint that does nothing, sent one
            of the same requests again and again.
            """
        )
    }

    /// Nobody listens there; nothing is due for an hour.
    private static let nobody = Address(host: "127.0.0.1", port: 9)

    private static let emptyServer = URL(filePath: "/proc/self/exe").resolvingSymlinksInPath()
        .deletingLastPathComponent().appending(path: "empty").path

    private func measureBatches(_ server: ServerUnderTest) async throws -> [Double] {
        let load = Load(server: server)
        let beginning = ContinuousClock.now
        let ids = try await load.createPayouts(payouts, receiver: Self.nobody)
        let creating = (ContinuousClock.now - beginning).seconds
        let work = ListWork(load.batches(ids), expecting: 200)
        let reading = try await metered(server, options.profiler.part("batches")) {
            try await Pump.run(work, connections: reporters, to: server.address)
        }
        try confirm(payouts, server)
        return [
            Double(payouts) / creating, Double(payouts) / reading.seconds,
            Double(reading.cpuMicroseconds) / Double(payouts), Double(reading.peakKiB) / 1_024, reading.othersPercent,
        ]
    }

    private func measureSingles(_ server: ServerUnderTest, _ empty: Listener) async throws -> [Double] {
        let load = Load(server: server)
        let ids = try await load.createPayouts(singles, offset: payouts, receiver: Self.nobody)
        let work = ListWork(load.singles(ids), expecting: 200)
        let yardstick = Request(path: "/empty", headers: server.headers(), body: PayoutTexts.paid(id: ids[0]))
        let before = try await common.blast.run(yardstick, to: empty.address, pid: empty.child.pid)
        let reading = try await metered(server, options.profiler.part("singles")) {
            try await Pump.run(work, connections: common.connections, to: server.address)
        }
        let after = try await common.blast.run(yardstick, to: empty.address, pid: empty.child.pid)
        try confirm(payouts + singles, server)
        let (rate, emptyRate) = (Double(singles) / reading.seconds, (before.rate + after.rate) / 2)
        return [
            rate, emptyRate, rate / emptyRate, Double(reading.cpuMicroseconds) / Double(singles),
            max(reading.othersPercent, before.othersPercent, after.othersPercent),
        ]
    }

    private func metered(
        _ server: ServerUnderTest, _ profiler: Profiler, _ body: () async throws -> Void
    ) async throws -> Meter.Reading {
        try await profiler.during(server.pid) {
            let meter = try Meter(server.pid)
            try await body()
            return try meter.read()
        }
    }

    private func confirm(_ count: Int, _ server: ServerUnderTest) throws {
        let waiting = try server.number("SELECT count(*) FROM deliveries WHERE attempts = 0")
        guard waiting == count else { throw Failure("\(waiting) deliveries wait, not \(count)") }
    }
}
