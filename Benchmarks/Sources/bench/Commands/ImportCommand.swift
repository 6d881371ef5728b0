import ArgumentParser
import Foundation

struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Payouts imported: by themselves, a second time, and beside a server that takes single changes."
    )

    @OptionGroup var common: CommonOptions
    @OptionGroup var options: ServerOptions

    @Option(help: "Payouts imported by themselves.")
    var payouts = 100_000

    @Option(help: "Lines that keep an import busy beside the server.")
    var beside = 400_000

    @Option(help: "Changes sent to the server, one by one.")
    var changes = 2_000

    @Option(help: "Changes per second.")
    var pace = 400

    @Option(help: "Connections that send them.")
    var reporters = 4

    func run() async throws {
        Output.machine()
        var alone = Table(
            "Import of \(payouts) paid payouts, from the start of the command to its end, synchronous=FULL",
            [
                .init("imported/s"), .init("CPU us each", digits: 1), .init("others %"), .init("again/s"),
                .init("CPU us each", digits: 1), .init("peak MiB"), .init("fdatasync/s"),
            ]
        )
        var both = Table(
            "\(changes) single changes, \(pace)/s on \(reporters) connections, without and beside an import",
            [
                .init("p50 ms", digits: 1), .init("p99 ms", digits: 1), .init("others %"),
                .init("p50 beside", digits: 1),
                .init("p99 beside", digits: 1), .init("longest", digits: 1), .init("imported/s"),
            ]
        )
        let folder = try Cleanup.makeFolder()
        defer { Cleanup.remove(folder: folder) }
        let file = try ImportFile(folder + "/alone.ndjson", lines: 0..<payouts)
        let long = try ImportFile(folder + "/beside.ndjson", lines: changes..<changes + beside)
        let unpaid = ImportedKind(status: PayoutTexts.waitingStatus)
        let base = try ImportFile(folder + "/base.ndjson", lines: 0..<changes, unpaid)
        for _ in 0..<common.runs {
            alone.add(try await FreshStore.with(options.binary) { try measureAlone($0, file) })
            both.add(
                try await ServerUnderTest.with(options.binary, schedule: "1h,1h") { server in
                    try await measureBeside(server, base, long)
                })
        }
        alone.print()
        both.print()
        Output.line(
            """
            again: the same file a second time, every line unchanged. beside: while an import of other payouts runs, and
            how fast that one is meanwhile.
            """
        )
    }

    private func measureAlone(_ store: FreshStore, _ file: ImportFile) throws -> [Double] {
        let syncs = try Disk.syncsPerSecond(in: store.folder)
        let first = try metered(store, file, expecting: "{\"imported\":\(payouts),\"unchanged\":0,\"refused\":0}\n")
        let again = try metered(store, file, expecting: "{\"imported\":0,\"unchanged\":\(payouts),\"refused\":0}\n")
        let stored = try store.number("SELECT count(*) FROM notifications")
        guard stored == payouts else { throw Failure("\(stored) webhooks are stored, not \(payouts)") }
        return [
            Double(payouts) / first.seconds, Double(first.microseconds) / Double(payouts), first.others,
            Double(payouts) / again.seconds, Double(again.microseconds) / Double(payouts),
            Double(ProcessUsage.endedChildrenPeakKiB) / 1_024, syncs,
        ]
    }

    private func metered(
        _ store: FreshStore, _ file: ImportFile, expecting expected: String
    ) throws -> (seconds: Double, microseconds: Int, others: Double) {
        let meter = try Meter()
        let before = ProcessUsage.endedChildrenMicroseconds
        let printed = try store.command("import", file.path, "--json")
        let reading = try meter.read()
        guard printed == expected else { throw Failure("the import printed \(printed)") }
        return (reading.seconds, ProcessUsage.endedChildrenMicroseconds - before, reading.othersPercent)
    }

    private func measureBeside(
        _ server: ServerUnderTest, _ base: ImportFile, _ long: ImportFile
    ) async throws -> [Double] {
        _ = try server.store.command("import", base.path, "--json")
        let half = changes / 2
        let paced = PacedChanges(server: server, connections: reporters, perSecond: pace)
        let without = try await paced.run(1...half)
        let importing = try server.store.start("import", long.path, "--json")
        _ = try await eventually("the first imported payouts", within: .seconds(20)) {
            try server.number("SELECT count(*) FROM payouts") > changes ? true : nil
        }
        let before = try server.number("SELECT count(*) FROM payouts")
        let beside = try await paced.run(half + 1...changes)
        let after = try server.number("SELECT count(*) FROM payouts")
        guard importing.isRunning else { throw Failure("the import ended too early: give --beside more lines") }
        await importing.stop(SIGKILL)
        return [
            without.percentile(50), without.percentile(99), without.othersPercent, beside.percentile(50),
            beside.percentile(99), beside.percentile(100), Double(after - before) / beside.seconds,
        ]
    }
}
