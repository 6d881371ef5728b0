import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct CopyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "copy",
        abstract: "Moves a SQLite store to an empty PostgreSQL database, and compares both.",
        discussion: """
            No server may run on either. An interrupted copy goes on where it was when it is run again; until it has
            ended no server starts on the target. The encryption key goes along: set REENVIO_ENCRYPTION_KEY to the text
            of the store's .key file for whoever serves the target. A copied store remembers that: no server starts on
            it, because both would deliver. --undo takes that back, for a target that is given up.
            """
    )

    @Option(help: "The SQLite store, e.g. sqlite:./reenvio-data/reenvio.db.") var from: String
    @Option(help: "An empty database, e.g. postgres://user@host/reenvio.") var to: String?
    @Option(help: "The file that holds its URI with the password, or - for standard input.") var toFile: String?
    @ArgumentParser.Flag(help: "Let servers start again on a store that was copied; its target must not deliver.")
    var undo = false
    @ArgumentParser.Flag(help: "Print one JSON document on standard output.") var json = false

    func validate() throws {
        if [undo, to != nil, toFile != nil].count(where: { $0 }) != 1 {
            throw ValidationError("give either --to, --to-file or --undo")
        }
    }

    func run() async throws {
        try await reportingFailures {
            let now = Terminal.now
            let reader = await SettingsReader(flags: [.store: from])
            let settings = try reader.settings()
            guard case .sqlite(let path) = settings.store else {
                throw CreationRefused(description: "--from must be sqlite:PATH")
            }
            guard FileManager.default.fileExists(atPath: path) else {
                throw CreationRefused(description: "there is no file \(path)")
            }
            guard let to = try SecretText.read(to, file: toFile, of: "--to") else {
                return try await takeBack(settings, path, now)
            }
            guard let place = StorePlace(to), place != settings.store else {
                throw CreationRefused(description: "--to must be a URI such as postgres://user:password@host/database")
            }
            let source = try await settings.openStore(now: now)
            let lock = try await StoreLock.take(StorePath(path))
            defer { withExtendedLifetime(lock) {} }
            let target = try await open(place, sealing: source.sealing, now: now)
            let progress = CopyProgress()
            let copied = try await StoreCopy(from: source, to: target, named: StorePlace.shown(to)).run(now: now) {
                progress.show($0)
            }
            progress.end()
            try target.close()
            try source.close()
            report(copied)
        }
    }

    private func takeBack(_ settings: Settings, _ path: String, _ now: Timestamp) async throws {
        let store = try await settings.openStore(now: now)
        let wasMarked = try await store.forgetCopy()
        try store.close()
        if json {
            var writer = JSONWriter()
            writer.object { $0.member("undone", wasMarked) }
            Terminal.out(String(decoding: writer.bytes, as: UTF8.self))
        } else {
            Terminal.out(wasMarked ? "\(path) may be served again." : "\(path) was not copied.")
        }
    }

    private func open(_ place: StorePlace, sealing: SealingKey, now: Timestamp) async throws -> Store {
        let engine: any StoreEngine =
            switch place {
            case .sqlite(let path): try SQLiteEngine(path: path)
            case .postgres(let address): try PostgresEngine(address)
            }
        return try await Store.open(engine: engine, sealing: sealing, now: now, allowingUnfinishedCopy: true).store
    }

    private func report(_ copied: StoreCopy.Result) {
        if json {
            var writer = JSONWriter()
            writer.object { writer in
                writer.member("tables", copied.tables)
                writer.member("rows", copied.rows)
                writer.member("verified", true)
            }
            Terminal.out(String(decoding: writer.bytes, as: UTF8.self))
        } else {
            Terminal.out("\(copied.rows) rows of \(copied.tables) tables are there, and are the same on both sides.")
        }
    }
}

/// The bar of a copy, on a terminal.
private struct CopyProgress: Sendable {
    func show(_ progress: StoreCopy.Progress) {
        guard Terminal.isErrorInteractive else { return }
        let word = progress.stage == .copying ? "copying  " : "comparing"
        Terminal.error(
            "\r\(word) \(Terminal.bar(progress.done, of: progress.total)) \(progress.done) of \(progress.total) rows ",
            terminator: "")
    }

    func end() {
        if Terminal.isErrorInteractive { Terminal.error("") }
    }
}
