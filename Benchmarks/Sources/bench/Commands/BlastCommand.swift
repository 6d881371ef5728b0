import ArgumentParser

struct BlastCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "blast", abstract: "The reference blast alone: what delivery rates are divided by."
    )

    @OptionGroup var common: CommonOptions

    func run() async throws {
        Output.machine()
        try await Stage.with { stage in
            var table = Table(
                "Blast, \(common.connections) connections, bodies of \(PayoutTexts.webhookBytes) bytes",
                [.init("blast/s"), .init("us", digits: 1), .init("bare/s"), .init("us", digits: 1), .init("others %")]
            )
            for _ in 0..<common.runs {
                let rates = try await stage.blast(common.blast)
                table.add([
                    rates.reference.rate, rates.reference.ownMicroseconds, rates.bare.rate, rates.bare.ownMicroseconds,
                    rates.othersPercent,
                ])
            }
            table.print()
            Output.line(
                """
                blast: the reference, through NIOHTTP1. bare: ready-made bytes. us: CPU per request, pump and receiver.
                """
            )
        }
    }
}
