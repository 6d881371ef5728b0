import Foundation
import GRDB
import Synchronization

/// The files of an open SQLite store: whether they are still those that were opened, and how long the log is. A log
/// that is removed takes with it what was committed and not yet copied to the file, as soon as the process ends: so
/// what can be saved is saved at once, and nothing more is written.
final class SQLiteFiles: Sendable {
    private struct Identity: Equatable {
        var device: UInt64
        var number: UInt64

        /// Nil where nothing has that name. What cannot be told is not taken for a loss.
        static func of(_ path: String) -> Result<Identity?, StoreError> {
            var about = stat()
            if stat(path, &about) == 0 {
                return .success(Identity(device: UInt64(about.st_dev), number: UInt64(about.st_ino)))
            }
            return errno == ENOENT
                ? .success(nil) : .failure(FileSteps.failure(errno, path, "cannot be looked at"))
        }
    }

    private struct State {
        var lookedAt: ContinuousClock.Instant?
        var logBytes: Int64 = 0
        /// Of the log once it was seen.
        var log: Identity?
        var loss: Loss?
    }

    /// What happened to the files, and whether what they held is safe.
    private struct Loss {
        var what: String
        var isSaved = false
    }

    private static let lookEvery: Duration = .seconds(1)
    private static let pauseLook: Duration = .milliseconds(200)

    let bounds: LogBounds
    private let path: String
    private let logPath: String
    private let database: Identity?
    private let state = Mutex(State())

    /// - Parameter path: of a store that was just opened, log and all.
    init(path: String, bounds: LogBounds) {
        self.path = path
        self.bounds = bounds
        logPath = path + "-wal"
        database = (try? Identity.of(path).get()) ?? nil
        state.withLock { $0.log = (try? Identity.of(logPath).get()) ?? nil }
        measure()
    }

    /// Bytes of the log, as of the last look.
    var logBytes: Int64 { state.withLock { $0.logBytes } }

    @discardableResult
    private func measure() -> Int64 {
        let bytes = FileSteps.size(logPath) ?? 0
        state.withLock { $0.logBytes = bytes }
        return bytes
    }

    // MARK: Before a write

    /// Waits, or refuses, while the log is too long for a write of this kind.
    func admit(_ priority: WritePriority) async throws {
        while true {
            let bytes = logBytes
            switch bounds.admission(priority, logBytes: bytes) {
            case .now: return
            case .refused:
                if bounds.admission(priority, logBytes: measure()) == .now { return }
                throw StoreError.unavailable(
                    "its log has grown to \(bytes) bytes, because something keeps reading an old state of the store")
            case .later:
                if bounds.admission(priority, logBytes: measure()) == .now { return }
                guard (try? await Task.sleep(for: Self.pauseLook)) != nil else {
                    throw StoreError.unavailable("its log is too long for work that can wait")
                }
            }
        }
    }

    /// Looks at the files, at most once a second, on the connection that writes; saves what it can where they are not
    /// those that were opened.
    func check(_ connection: Database) throws {
        let isDue = state.withLock { state in
            let now = ContinuousClock.now
            if let lookedAt = state.lookedAt, now - lookedAt < Self.lookEvery { return false }
            state.lookedAt = now
            return true
        }
        if isDue { try look(connection) }
        if let loss = state.withLock({ $0.loss }) { throw Self.refusal(loss) }
    }

    private func look(_ connection: Database) throws {
        measure()
        guard let change = change() else { return }
        let isSaved = state.withLock { state in
            if state.loss == nil { state.loss = Loss(what: change.what) }
            return state.loss?.isSaved ?? false
        }
        guard !isSaved, save(connection, hasDatabase: change.hasDatabase) else { return }
        state.withLock { state in
            state.loss?.isSaved = true
            let place = change.hasDatabase ? path : Self.savedPath(path)
            state.loss?.what += "; what it held is safe in \(place)"
        }
    }

    /// What is not as it was opened; nil while all is, or where that cannot be told.
    private func change() -> (what: String, hasDatabase: Bool)? {
        guard case .success(let database) = Identity.of(path), case .success(let log) = Identity.of(logPath) else {
            return nil
        }
        if let mine = self.database, database != mine {
            return ("\(path) was removed or replaced below this process", false)
        }
        let known = state.withLock { state in
            if state.log == nil { state.log = log }
            return state.log
        }
        guard known != log else { return nil }
        return ("\(logPath) was removed or replaced below this process", true)
    }

    private static func savedPath(_ path: String) -> String { path + ".rescued" }

    private static func refusal(_ loss: Loss) -> StoreError {
        .unavailable(
            loss.what
                + (loss.isSaved
                    ? "; stop it and start it again"
                    : "; do not stop it before its files, which /proc/\(getpid())/fd still has, are saved"))
    }

    /// The log is still open here, whatever became of its name: copies it to the file; or, where that is gone, the
    /// whole store to another one.
    private func save(_ connection: Database, hasDatabase: Bool) -> Bool {
        do {
            if hasDatabase {
                let done = try Row.fetchOne(connection, sql: "PRAGMA wal_checkpoint(FULL)")
                return done.map { row in
                    let (busy, frames, copied): (Int64, Int64, Int64) = (row[0], row[1], row[2])
                    return busy == 0 && frames == copied
                } ?? false
            }
            let partial = try PartialFile(for: Self.savedPath(path))
            defer { partial.discard() }
            let copy = try DatabaseQueue(path: partial.path)
            try copy.writeWithoutTransaction { try connection.backup(to: $0) }
            try copy.close()
            try partial.place()
            return true
        } catch {
            return false
        }
    }

    /// Whether files are not those that were opened; SQLite would remove a log by its name when it closes.
    var isLost: Bool { state.withLock { $0.loss != nil } }

    var loss: String? { state.withLock { $0.loss.map { "\(Self.refusal($0))" } } }

    // MARK: Giving the log back

    /// Copies a long log to the file and cuts it, on a connection of its own, so that no commit has to. Does nothing to
    /// a log that still has a reader.
    func giveBack() async {
        guard !isLost, measure() >= bounds.givenBack else { return }
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            DispatchQueue.global(qos: .utility).async {
                try? self.cut()
                continuation.resume()
            }
        }
        measure()
    }

    private func cut() throws {
        var configuration = Configuration()
        // With the writer's lock it waits for readers only this long.
        configuration.busyMode = .timeout(0.05)
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? queue.close() }
        try queue.writeWithoutTransaction { database in
            guard let row = try Row.fetchOne(database, sql: "PRAGMA wal_checkpoint(PASSIVE)") else { return }
            let (frames, copied): (Int64, Int64) = (row[1], row[2])
            guard frames == copied else { return }
            try database.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
        }
    }
}
