import ArgumentParser

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tells the whole story on a scratch store: an outage and its repair by a bulk resend."
    )

    func run() async throws {
        try await reportingFailures {
            try await DemoStage.play { actors in try await DemoStory(actors: actors).tell() }
        }
    }
}
