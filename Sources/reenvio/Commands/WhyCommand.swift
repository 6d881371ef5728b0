import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct WhyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "why",
        abstract: "Explains one payout: would a window match it, what was sent, what answered, what is next and when."
    )

    @OptionGroup var options: CommandOptions
    @Argument(help: "The payout's id.") var payoutID: Int64
    @Option(help: "Start of a window, UTC, as \"2026-03-24 08:00:00\".") var from: String?
    @Option(help: "End of the window, at most 3 hours later.") var to: String?

    func run() async throws {
        try await reportingFailures {
            let window = try ResendWindow.optional([("start_time", from ?? ""), ("end_time", to ?? "")])
            let policy = try await options.policy()
            try await options.withStore { store, wall in
                let now = try await store.engineNow(wall: wall)
                let why = try await store.why(
                    payoutID: payoutID, accountID: nil, window: window, policy: policy, now: now, wall: wall)
                guard let why else { throw CreationRefused(description: "there is no payout \(payoutID)") }
                options.report(why.explanation.joined(separator: "\n")) { why.writeMembers(into: &$0) }
            }
        }
    }
}
