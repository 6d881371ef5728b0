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
            let store = StorePath(try settings.sqlitePath)
            try SQLiteBackup.refuseTaken(file)
            try await StoreLock.refuseOtherName(store)
            let interruption = Interruption(removing: PartialFile.files(for: file))
            let contents = try SQLiteBackup.copy(from: store.given, to: file)
            withExtendedLifetime(interruption) {}
            warnOfKey(contents.keyID, settings, store)
            options.report("\(file): " + contents.words) { contents.writeMembers(into: &$0) }
        }
    }

    /// A copy is worth nothing without its key, and this is the moment to look for it.
    private func warnOfKey(_ id: String, _ settings: Settings, _ store: StorePath) {
        let key = settings.encryptionKey ?? (try? KeyFile.load(KeyFile.path(of: store)))
        guard key?.id != id else { return }
        Terminal.error(
            "warning: the key of this store is neither in \(KeyFile.path(of: store)) nor in REENVIO_ENCRYPTION_KEY; "
                + "the copy cannot be restored without it")
    }
}

struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Makes a SQLite store out of a copy. Start it with `reenvio serve --hold`.",
        discussion: """
            The store must not exist yet, nor may the log of a lost one (-wal, -shm, -journal) lie in its place;
            --set-aside renames all of them to names with .left-TIME. What was delivered after the copy was made is not
            known to it and would be sent again: `serve --hold` begins with every receiver paused, and `reenvio release`
            lets them go.
            """
    )

    @OptionGroup var options: CommandOptions
    @Argument(help: "A file that `reenvio backup` made.") var file: String
    @Option(help: "The key file of the store that was copied; not needed with REENVIO_ENCRYPTION_KEY.")
    var keyFile: String?
    @Flag(help: "Rename what is in the place of the store, its log too, to names with .left-TIME.")
    var setAside = false

    func run() async throws {
        try await reportingFailures {
            let settings = try await options.settings()
            let store = StorePath(try settings.sqlitePath)
            guard FileManager.default.fileExists(atPath: file) else {
                throw SQLiteBackup.Refused(description: "there is no file \(file)")
            }
            let lock = try FolderLock(of: store.file)
            defer { withExtendedLifetime(lock) {} }
            if StoreLock.isServed(store) {
                throw StoreLock.Taken(description: "another reenvio serves \(store.file); stop it first")
            }
            if !setAside {
                try SQLiteBackup.refuseTaken(
                    store.file, hint: "move them away, or let --set-aside rename them")
            }
            let keyPath = try settings.encryptionKey == nil ? keyPath(store) : nil
            if let keyPath { try KeyFile.refuseOther(than: keyPath, beside: store) }
            guard let key = try keyPath.map(KeyFile.load) ?? settings.encryptionKey else { return }
            let interruption = Interruption(removing: PartialFile.files(for: store.file))
            try refuseOtherKey(key)
            try SQLiteBackup.refuseForeignSchema(file)
            let contents = try SQLiteBackup.copy(from: file, to: store.file) { try arrange(store, keyPath) }
            withExtendedLifetime(interruption) {}
            options.report("\(store.given): " + contents.words + " Start it with --hold.") {
                contents.writeMembers(into: &$0)
            }
        }
    }

    private func refuseOtherKey(_ key: SealingKey) throws {
        guard try SQLiteBackup.inspect(file).keyID == key.id else {
            throw KeyFile.Fault(description: "the encryption key is not the one \(file) was made with")
        }
    }

    /// Puts the key in its place, and aside what is in the store's; returns what undoes both.
    private func arrange(_ store: StorePath, _ keyPath: String?) throws -> () -> Void {
        let isNewKey = try keyPath.map { try KeyFile.install(from: $0, beside: store) } ?? false
        let removeKey = { if isNewKey { KeyFile.remove(besideOf: store) } }
        do {
            let moved = try setAside ? store.setAside(at: Terminal.now) : []
            return {
                StorePath.putBack(moved)
                removeKey()
            }
        } catch {
            removeKey()
            throw error
        }
    }

    private func keyPath(_ store: StorePath) throws -> String {
        if let keyFile { return keyFile }
        let beside = KeyFile.path(of: store)
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
