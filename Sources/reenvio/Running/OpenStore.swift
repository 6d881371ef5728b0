import Foundation
import ReenvioEngine
import ReenvioModel
import ReenvioStore

extension Settings {
    /// Opens the store, creating and migrating it where it is new or older.
    func openStore(
        now: Timestamp, manners: SQLiteManners = .eager, patience: PostgresPatience = .unhurried,
        wrapping wrap: (any StoreEngine) -> any StoreEngine = { $0 }
    ) async throws -> Store {
        try await migrateStore(now: now, manners: manners, patience: patience, wrapping: wrap).store
    }

    /// The same, with the versions that were applied now.
    func migrateStore(
        now: Timestamp, manners: SQLiteManners = .eager, patience: PostgresPatience = .unhurried,
        wrapping wrap: (any StoreEngine) -> any StoreEngine = { $0 }
    ) async throws -> (store: Store, applied: [Int64]) {
        let outbox = operatorWebhook == nil ? nil : NoticeOutbox()
        switch store {
        case .sqlite(let path):
            let place = StorePath(path)
            // Commands that meet on a new store set it up one after the other.
            let setup = try FolderLock(of: place.file)
            defer { withExtendedLifetime(setup) {} }
            try place.refuseSecondName()
            try await StoreLock.refuseOtherName(place)
            try place.refuseLogWithoutDatabase()
            let key = try encryptionKey ?? KeyFile.loadOrCreate(for: place)
            let engine = try SQLiteEngine(path: place.file, manners: manners)
            return try await Store.open(engine: wrap(engine), sealing: key, outbox: outbox, now: now)
        case .postgres(let address):
            guard let key = encryptionKey else {
                throw StoreError.unavailable("REENVIO_ENCRYPTION_KEY is required with PostgreSQL")
            }
            return try await Store.open(
                engine: wrap(try PostgresEngine(address, patience: patience)), sealing: key, outbox: outbox, now: now)
        }
    }
}

/// Who runs a command, as history and audit name it.
enum CommandActor {
    static var name: String { "cli:\(NSUserName())" }
    static var requester: Requester { Requester(actor: name) }
}
