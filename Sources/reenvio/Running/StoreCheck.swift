import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioStore

/// What `reenvio check` finds in a store: what its files say before it is opened, and with `--deep` the engine's own
/// check, then every count.
struct StoreCheck {
    var problems: [String] = []
    var warnings: [String] = []

    private let settings: Settings
    private let isDeep: Bool

    init(_ settings: Settings, isDeep: Bool) {
        self.settings = settings
        self.isDeep = isDeep
    }

    mutating func run() async {
        if let fault = settings.sharedKeyFile { warnings.append("\(fault.description); no server starts") }
        do {
            switch settings.store {
            case .sqlite(let path): try await lookAtFile(StorePath(path))
            case .postgres: try await lookAt(try await settings.openStore(now: Terminal.now), copyOf: nil)
            }
        } catch {
            problems.append("\(error)")
        }
    }

    /// A log that nobody has open is read first: the first to open the store lays it over the file, and the last to
    /// close it removes it. One that is damaged is left as it is.
    private mutating func lookAtFile(_ path: StorePath) async throws {
        let isServed = StoreLock.isServed(path)
        if !isServed, path.exists, let log = try SQLiteLog(of: path) {
            warnings += log.warnings
            guard log.damage.isEmpty else {
                problems += log.damage
                problems.append(
                    "the store was not opened, so that its files stay as they are: copy them (\(path.file), -wal, "
                        + "-shm) before anything else, then restore a backup, or start the server on what is left")
                return
            }
        }
        try await lookAt(try await settings.openStore(now: Terminal.now), copyOf: isServed && isDeep ? path : nil)
    }

    private mutating func lookAt(_ store: Store, copyOf path: StorePath?) async throws {
        defer { try? store.close() }
        if let copied = try await store.copiedTo() {
            warnings.append("the store was \(copied); no server starts on it (`reenvio copy --undo`)")
        }
        warnings += try await store.setAsides(now: try await store.engineNow(wall: Terminal.now)).map(\.text)
        warnings += try await Self.clockWarnings(store)
        warnings += Self.serverWarnings(store)
        guard isDeep else { return }
        guard let path else { return await count(store) }
        let interruption = Interruption(removing: PrivateCopy.files(of: path))
        defer { withExtendedLifetime(interruption) {} }
        guard let copy = try PrivateCopy(of: path, sealing: store.sealing) else {
            warnings.append(
                "the disk has no room for a copy to check: the store itself is read, and its log grows meanwhile")
            return await count(store)
        }
        defer { copy.discard() }
        await count(copy.store)
    }

    /// Counts of a damaged store say nothing.
    private mutating func count(_ store: Store) async {
        let found = await store.integrity()
        warnings += found.warnings
        problems += found.problems
        guard found.problems.isEmpty else { return }
        do {
            problems += try await store.recount(engineNow: try await store.engineNow(wall: Terminal.now))
        } catch {
            problems.append("the rows cannot be counted: \(error)")
        }
    }

    /// Servers of the URI that nothing is written to, and why.
    private static func serverWarnings(_ store: Store) -> [String] {
        guard let news = store.engine.sharing?.serverNews else { return [] }
        return [
            news.refusal.map { "a database server was refused: \($0)" },
            news.adopted.map { "the store is on another database system than before (\($0))" },
        ].compactMap { $0 }
    }

    /// Whether a server on this machine would remove anything by its clock now.
    private static func clockWarnings(_ store: Store) async throws -> [String] {
        let reading = SystemClock().reading
        var keeper = ClockKeeper()
        keeper.take(try await store.trustedTime())
        guard case .wrong(let expected) = keeper.judge(reading, server: try await store.serverMoment()?.time) else {
            return []
        }
        return [
            "the wall clock says \(TimeText.zulu(reading.wall)), the last good time makes it "
                + "\(TimeText.zulu(expected)) or later: nothing is removed by it; set the clock, or, where it is "
                + "right, run `reenvio clock accept`"
        ]
    }
}
