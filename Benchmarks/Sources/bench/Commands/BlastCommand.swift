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
                "Reference blast, \(common.connections) connections, bodies of \(PayoutTexts.webhookBytes) bytes",
                Blast.Codec.allCases.flatMap {
                    [Table.Column("\($0.rawValue)/s"), Table.Column("\($0.rawValue) us", digits: 1)]
                }
            )
            for _ in 0..<common.runs {
                var row: [Double] = []
                for codec in Blast.Codec.allCases {
                    var blast = common.blast
                    blast.codec = codec
                    let result = try await stage.blast(blast)
                    row += [result.rate, result.ownMicroseconds]
                }
                table.add(row)
            }
            table.print()
            Output.line("us: CPU of pump and receiver together, per request.")
        }
    }
}
