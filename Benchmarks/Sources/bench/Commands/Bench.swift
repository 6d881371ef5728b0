import ArgumentParser
import Foundation

/// Measures the release binary of Reenvio from outside. `Benchmarks/run` builds everything and calls this.
@main
struct Bench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures the release binary of Reenvio from outside, over HTTP on loopback.",
        subcommands: [
            BlastCommand.self, LiveCommand.self, ResendCommand.self, IntakeCommand.self, ImportCommand.self,
            NeighbourCommand.self, LatencyCommand.self, BacklogCommand.self,
        ]
    )

    static func main() async {
        let signals = Cleanup.onSignals()
        defer { withExtendedLifetime(signals) {} }
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            Cleanup.run()
            exit(withError: error)
        }
        Cleanup.run()
    }
}

/// What every benchmark takes.
struct CommonOptions: ParsableArguments {
    @Option(help: "How often everything is measured, each time on a fresh store.")
    var runs = 3

    @Option(help: "Connections of the reference blast, one request in flight on each.")
    var connections = 64

    @Option(help: "Seconds of each reference blast.")
    var blastSeconds = 2.0

    var blast: Blast { Blast(connections: connections, seconds: blastSeconds) }

    func validate() throws {
        guard (1...100).contains(runs), (1...4_096).contains(connections), (0.1...60).contains(blastSeconds) else {
            throw ValidationError("runs must be 1 to 100, connections 1 to 4096, blast seconds 0.1 to 60")
        }
    }
}

/// What every benchmark of the server takes.
struct ServerOptions: ParsableArguments {
    @Option(help: "The binary to measure.")
    var server: String

    @Option(help: "Samples of `perf record` on the server while the clock runs go to this file; the figures suffer.")
    var perf: String?

    @Option(help: "Where the store lies: sqlite, postgres (started for it), or both in turns.")
    var store = "sqlite"

    /// The kinds of `--store`, in the order in which they are measured.
    var kinds: [StoreKind] { store == "both" ? StoreKind.allCases : StoreKind(rawValue: store).map { [$0] } ?? [] }

    func validate() throws {
        if kinds.isEmpty { throw ValidationError("--store is sqlite, postgres or both") }
    }

    var binary: String { URL(filePath: server).path }
    var profiler: Profiler { Profiler(path: perf) }
}
