import ArgumentParser
import ReenvioModel
import ReenvioStore

struct HoldCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hold",
        abstract: "Pauses every receiver, beside a running server or before one; what is accepted waits."
    )

    @OptionGroup var options: CommandOptions

    func run() async throws {
        try await reportingFailures {
            try await options.withStore { store, now in
                let held = try await store.holdReceivers(by: CommandActor.requester, now: now)
                options.report("\(held) receivers are held.") { $0.member("held", held) }
            }
        }
    }
}

struct ReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release",
        abstract: "Ends a hold: receivers go on with what waits. Those that somebody paused stay paused."
    )

    @OptionGroup var options: CommandOptions
    @Option(help: "Only receivers of this merchant.") var merchant: Int64?

    func run() async throws {
        try await reportingFailures {
            try await options.withStore { store, now in
                if let merchant, try await store.merchant(id: merchant, accountID: nil) == nil {
                    throw CreationRefused(description: "There is no merchant \(merchant).")
                }
                let released = try await store.releaseReceivers(
                    merchantID: merchant, by: CommandActor.requester, now: now,
                    engineNow: try await store.engineNow(wall: now))
                options.report("\(released) receivers go on.") { $0.member("released", released) }
            }
        }
    }
}
