import ArgumentParser

@main
enum Program {
    static func main() async {
        StandardFiles.open()
        StandardFiles.keepPrivate()
        await Reenvio.main()
    }
}

/// `reenvio`: one binary for the server and everything an operator does beside it.
struct Reenvio: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reenvio",
        abstract: "Delivers payment webhooks, and sends again in bulk what was missed.",
        discussion: """
            Settings come from flags, then the environment (REENVIO_...), then reenvio.yaml in the working folder.
            Exit codes: 0 done, 1 refused or failed (why is on standard error), 64 wrong usage.
            Shell completion: reenvio --generate-completion-script bash|zsh|fish
            """,
        version: "0.1.0",
        subcommands: [
            Serve.self, Demo.self, Check.self, Migrate.self, AccountCommands.self, MerchantCommands.self,
            PayoutCommands.self, KeyCommands.self, UserCommands.self, TokenKeyCommands.self, ImportCommand.self,
            ResendCommand.self,
            JobCommands.self, BatchCommands.self, EraseCommand.self, WhyCommand.self, AuditCommand.self,
            ReceiverCommand.self,
            BackupCommand.self, RestoreCommand.self, HoldCommand.self, ReleaseCommand.self,
            CopyCommand.self, ClockCommands.self,
        ]
    )

    static var version: String { configuration.version }
}
