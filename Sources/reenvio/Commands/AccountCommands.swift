import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct AccountCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Accounts: who owns merchants and keys.", subcommands: [Create.self]
    )

    struct Create: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Creates an account.")

        @OptionGroup var options: CommandOptions

        @Option(help: "A name for people.")
        var name: String

        func run() async throws {
            try await reportingFailures {
                try CommandLimits.checkText(name, "--name")
                try await options.withStore { store, now in
                    let id = try await store.createAccount(name: name, actor: CommandActor.name, now: now)
                    options.report("Account \(id) created.") { $0.member("account_id", id) }
                }
            }
        }
    }
}
