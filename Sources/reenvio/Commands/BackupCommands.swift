import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copies a SQLite store into one new file, beside a running server, and checks the copy.",
        discussion: """
            The encryption key is not in it: keep REENVIO_ENCRYPTION_KEY, or the store's .key file, apart from the copy.
            A PostgreSQL store has tools of its own (docs/operations.md).
            """
    )

    @OptionGroup var options: CommandOptions
    @Argument(help: "The file to make.") var file: String

    func run() async throws {
        try await reportingFailures {
            let settings = try await options.settings()
            let contents = try SQLiteBackup.copy(from: try settings.sqlitePath, to: file)
            options.report("\(file): " + contents.words) { contents.writeMembers(into: &$0) }
        }
    }
}

struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Makes a SQLite store out of a copy. Start it with `reenvio serve --hold`.",
        discussion: """
            The store must not exist yet. What was delivered after the copy was made is not known to it and would be
            sent again: `serve --hold` begins with every receiver paused, and `reenvio release` lets them go.
            """
    )

    @OptionGroup var options: CommandOptions
    @Argument(help: "A file that `reenvio backup` made.") var file: String
    @Option(help: "The key file of the store that was copied; not needed with REENVIO_ENCRYPTION_KEY.")
    var keyFile: String?

    func run() async throws {
        try await reportingFailures {
            let settings = try await options.settings()
            let storePath = try settings.sqlitePath
            guard FileManager.default.fileExists(atPath: file) else {
                throw SQLiteBackup.Refused(description: "there is no file \(file)")
            }
            let lock = try FolderLock(of: storePath)
            defer { withExtendedLifetime(lock) {} }
            let keyPath = try settings.encryptionKey == nil ? keyPath(storePath) : nil
            guard let key = try keyPath.map(KeyFile.load) ?? settings.encryptionKey else { return }
            let copied = try SQLiteBackup.inspect(file)
            guard copied.keyID == key.id else {
                throw KeyFile.Fault(description: "the encryption key is not the one \(file) was made with")
            }
            let contents = try SQLiteBackup.copy(from: file, to: storePath)
            if let keyPath { try KeyFile.install(from: keyPath, besideStore: storePath) }
            options.report("\(storePath): " + contents.words + " Start it with --hold.") {
                contents.writeMembers(into: &$0)
            }
        }
    }

    private func keyPath(_ storePath: String) throws -> String {
        if let keyFile { return keyFile }
        let beside = KeyFile.path(besideStore: storePath)
        guard FileManager.default.fileExists(atPath: beside) else {
            throw KeyFile.Fault(
                description: "the key is missing: name its file with --key-file, or set REENVIO_ENCRYPTION_KEY")
        }
        return beside
    }
}

extension SQLiteBackup.Contents {
    fileprivate var words: String {
        "\(payouts) payouts, \(deliveries) open deliveries, \(bytes) bytes, version \(version); checked."
    }

    fileprivate func writeMembers(into writer: inout JSONWriter) {
        writer.member("payouts", payouts)
        writer.member("deliveries", deliveries)
        writer.member("bytes", bytes)
        writer.member("version", version)
    }
}
