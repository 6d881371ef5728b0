import Foundation
import GRDB
import Synchronization

/// One SQLite file in WAL mode: readers side by side, one writer, each commit on disk before it is answered.
package final class SQLiteEngine: StoreEngine {
    /// "Rnvo" as a big-endian number: marks a file as ours.
    static let applicationID: Int64 = 0x526E_766F

    private let pool: DatabasePool
    private let writer: WriterThread
    private let storeFiles: SQLiteFiles
    private let repairs = Repairs()

    private final class Repairs: Sendable {
        let count = Atomic<Int>(0)
    }

    /// Opens or creates the file and its folder.
    /// - Throws: `StoreError.notOurs` for a database of somebody else, `.unavailable` where it cannot be opened.
    package init(
        path: String, readers: Int = 4, manners: SQLiteManners = .eager, logBounds: LogBounds = .standard,
        startThread: SystemThread.Start = SystemThread.start
    ) throws {
        let place = StorePath(path)
        let path = place.file
        do {
            let folder = URL(fileURLWithPath: path).deletingLastPathComponent()
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        } catch {
            throw StoreError.unavailable("the folder of \(path) cannot be created")
        }
        do {
            try place.refuseSecondName()
            try place.refuseLogWithoutDatabase()
            try Self.refuseForeignFile(path)
            pool = try DatabasePool(path: path, configuration: Self.configuration(readers: readers, manners))
            try Self.setUpWriter(pool, manners, logBounds)
            storeFiles = SQLiteFiles(path: path, bounds: logBounds)
        } catch let error as DatabaseError {
            if error.resultCode == .SQLITE_NOTADB { throw StoreError.notOurs(path) }
            throw StoreError(error)
        }
        writer = try WriterThread(startThread: startThread)
    }

    package func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            pool.asyncRead { access in
                continuation.resume(with: Result { try Self.mapped { try body(SQLiteConnection(try access.get())) } })
            }
        }
    }

    package func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try Self.mapped { try readHere(body) }
    }

    /// Not asynchronous, which chooses the one of GRDB's functions that stays on this thread. "Unsafe" means without a
    /// transaction around it: a single statement needs none, and the transaction would cost several times the lookup.
    private func readHere<T>(_ body: (any SQLConnection) throws -> T) throws -> T {
        try pool.unsafeRead { try body(SQLiteConnection($0)) }
    }

    // Continuations, because GRDB's own async functions roll back when the surrounding task is cancelled: a commit in
    // progress must end on its own terms.
    package func write<T: Sendable>(
        _ priority: WritePriority, _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        try await storeFiles.admit(priority)
        let files = storeFiles
        let repairs = repairs
        return try await onWriter(priority) { database in
            try files.check(database)
            do {
                return try Self.transaction(database, body)
            } catch is DuplicateID {
                try Self.transaction(database) { try $0.passStoredIDs() }
                repairs.count.add(1, ordering: .relaxed)
            }
            do {
                return try Self.transaction(database, body)
            } catch let duplicate as DuplicateID {
                throw duplicate.storeError
            }
        }
    }

    package var files: (any StoreFiles)? { self }

    package var idRepairs: Int { repairs.count.load(ordering: .relaxed) }

    package func close() throws {
        writer.stop()
        writer.join()
        if storeFiles.isLost {
            // The last connection removes the log by its name, which may be another store's by now: left to the end
            // of the process.
            _ = Unmanaged.passRetained(pool)
            return
        }
        try Self.mapped { try pool.close() }
    }

    deinit {
        // Perhaps on the writer's own thread, so without waiting for its end.
        writer.stop()
    }

    /// The level at which the writer really syncs: 2 is FULL. For tests and `reenvio check`.
    package func synchronousLevel() async throws -> Int64 {
        try await onWriter(.intake) { database in try Int64.fetchOne(database, sql: "PRAGMA synchronous") ?? -1 }
    }

    private func onWriter<T: Sendable>(
        _ priority: WritePriority, _ body: @escaping @Sendable (Database) throws -> T
    ) async throws -> T {
        let pool = pool
        return try await withCheckedThrowingContinuation { continuation in
            let isAccepted = writer.submit(priority) {
                // GRDB runs this on the calling thread, which is the writer's.
                continuation.resume(with: Result { try Self.mapped { try pool.writeWithoutTransaction(body) } })
            }
            if !isAccepted { continuation.resume(throwing: StoreError.unavailable("the store is closed")) }
        }
    }

    private static func transaction<T>(_ database: Database, _ body: (any SQLConnection) throws -> T) throws -> T {
        var result: T?
        try database.inTransaction(.immediate) {
            result = try body(SQLiteConnection(database))
            return .commit
        }
        guard let result else { throw StoreError.failed("a transaction ended without a result") }
        return result
    }

    private static func mapped<T>(_ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch let error as DatabaseError {
            throw StoreError(error)
        }
    }

    private static func configuration(readers: Int, _ manners: SQLiteManners) -> Configuration {
        var configuration = Configuration()
        configuration.maximumReaderCount = readers
        configuration.busyMode = .callback { manners.waitForLock(looks: $0) }
        configuration.foreignKeysEnabled = false
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY")
        }
        return configuration
    }

    /// A commit must be on disk before it is answered. GRDB's pool sets NORMAL during its own WAL set-up, after
    /// `prepareDatabase`, so FULL is set here, and read back.
    private static func setUpWriter(_ pool: DatabasePool, _ manners: SQLiteManners, _ logBounds: LogBounds) throws {
        try pool.writeWithoutTransaction { database in
            try database.execute(sql: "PRAGMA synchronous = FULL")
            try database.execute(sql: "PRAGMA wal_autocheckpoint = \(manners.checkpointPages)")
            try database.execute(sql: "PRAGMA journal_size_limit = \(logBounds.kept)")
            try database.execute(sql: "PRAGMA cache_size = -8192")
            guard try Int64.fetchOne(database, sql: "PRAGMA synchronous") == 2 else {
                throw StoreError.failed("PRAGMA synchronous = FULL did not take")
            }
            if try Int64.fetchOne(database, sql: "PRAGMA application_id") == 0 {
                try database.execute(sql: "PRAGMA application_id = \(applicationID)")
            }
        }
    }

    /// Looks before the pool turns the file into a WAL database: a file with tables and another mark is not ours.
    private static func refuseForeignFile(_ path: String) throws {
        guard FileManager.default.fileExists(atPath: path) else { return }
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        defer { try? queue.close() }
        let isOurs = try queue.read { database in
            let mark = try Int64.fetchOne(database, sql: "PRAGMA application_id") ?? 0
            let tables = try Int64.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") ?? 0
            return mark == applicationID || (mark == 0 && tables == 0)
        }
        if !isOurs { throw StoreError.notOurs(path) }
    }
}

extension SQLiteEngine: StoreFiles {
    package var logBytes: Int64 { storeFiles.logBytes }
    package var bounds: LogBounds { storeFiles.bounds }
    package var loss: String? { storeFiles.loss }

    package func tend() async {
        let files = storeFiles
        try? await onWriter(.intake) { database in try files.check(database) }
        await files.giveBack()
    }
}
