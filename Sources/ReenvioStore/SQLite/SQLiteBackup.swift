import Foundation
import GRDB
import GRDBSQLite

/// A copy of a SQLite store in one file, made while others read and write it, and checked before it gets its name and
/// once more under it.
package enum SQLiteBackup {
    /// What a copy holds, as its own rows say.
    package struct Contents: Sendable, Equatable {
        package var version: Int64
        package var payouts: Int64
        package var deliveries: Int64
        package var bytes: Int64
        /// Which key it was sealed with (`SealingKey.id`).
        package var keyID: String
    }

    /// Why no copy was made, for whoever asked for it.
    package struct Refused: Error, CustomStringConvertible {
        package var description: String

        package init(description: String) {
            self.description = description
        }
    }

    /// Refuses a name that is taken, and one with the log of another file beside it: SQLite would lay that log over
    /// the copy.
    package static func refuseTaken(_ target: String, hint: String = "move them away first") throws {
        if FileSteps.exists(target) { throw Refused(description: "\(target) exists already") }
        let left = StorePath.companions.map { target + $0 }.filter(FileSteps.exists)
        guard left.isEmpty else {
            throw Refused(
                description: "\(left.joined(separator: ", ")) \(left.count == 1 ? "is" : "are") left of another "
                    + "store, and SQLite would lay that log over the new file; \(hint)")
        }
    }

    /// Copies `source` to the new file `target`: one snapshot, whatever is written meanwhile. It is made and checked
    /// under another name, and checked again under its own.
    /// - Parameter beforePlacing: runs when the copy is whole, before it gets its name; returns what takes that back
    ///   where a later step fails.
    /// - Throws: `Refused` where there is no `source` or `target` is taken, `StoreError.unavailable` where it cannot be
    ///   written, `.notOurs` where `source` is no store of ours, `.failed` where the copy is damaged; nothing is
    ///   changed then.
    package static func copy(
        from source: String, to target: String, beforePlacing: () throws -> () -> Void = { {} }
    ) throws -> Contents {
        let source = StorePath(source)
        guard source.exists else { throw Refused(description: "there is no file \(source.given)") }
        try source.refuseSecondName()
        let partial = try PartialFile(for: target)
        defer { partial.discard() }
        do {
            try copyPages(from: source.file, to: partial.path, for: target)
            let contents = try inspect(partial.path)
            let undo = try beforePlacing()
            do {
                try refuseTaken(target)
                try partial.place()
                partial.release()
                guard try inspect(target) == contents else {
                    throw StoreError.failed("\(target) holds something else than was copied to it")
                }
            } catch {
                partial.takeBack()
                undo()
                throw error
            }
            return contents
        } catch let error as DatabaseError {
            throw failure(error, source: source.given, target: target)
        }
    }

    private static func failure(_ error: DatabaseError, source: String, target: String) -> StoreError {
        switch error.resultCode {
        case .SQLITE_NOTADB: .notOurs(source)
        case .SQLITE_FULL: .unavailable("the disk is full (\(target))")
        case .SQLITE_IOERR:
            .unavailable("the disk failed while \(source) was copied to \(target): \(StoreError.words(error))")
        default: StoreError(error)
        }
    }

    /// All pages in one step, so that the snapshot of the source is held for no longer than that takes.
    static func copyPages(from source: String, to path: String, for target: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        let from = try DatabaseQueue(path: source, configuration: configuration)
        defer { try? from.close() }
        let to = try DatabaseQueue(path: path)
        defer { try? to.close() }
        try to.writeWithoutTransaction { database in
            do {
                try from.read { try $0.backup(to: database) }
            } catch let error as DatabaseError where error.resultCode == .SQLITE_IOERR {
                // A sync that finds no room is an I/O error to SQLite.
                let code = sqlite3_system_errno(database.sqliteConnection)
                if code == ENOSPC || code == EDQUOT { throw FileSteps.failure(code, target, "cannot be written") }
                throw error
            }
        }
    }

    /// Refuses a file that declares anything but the schema of its version: a trigger, a view, a table or a column of
    /// somebody else.
    package static func refuseForeignSchema(_ path: String) throws {
        let found: [String]
        do {
            let queue = try DatabaseQueue(path: path)
            defer { try? queue.close() }
            found = try queue.read { try SQLiteShape.differences(in: SQLiteConnection($0)) }
        } catch let error as DatabaseError {
            throw error.resultCode == .SQLITE_NOTADB ? StoreError.notOurs(path) : StoreError(error)
        }
        guard found.isEmpty else {
            let more = found.count > 5 ? "; and \(found.count - 5) more like these" : ""
            throw Refused(description: "\(path) is not restored: " + found.prefix(5).joined(separator: "; ") + more)
        }
    }

    /// - Throws: `StoreError.failed` for a damaged file, `.notOurs` for somebody else's.
    package static func inspect(_ path: String) throws -> Contents {
        do {
            return try contents(of: path)
        } catch let error as DatabaseError {
            throw error.resultCode == .SQLITE_NOTADB ? StoreError.notOurs(path) : StoreError(error)
        }
    }

    private static func contents(of path: String) throws -> Contents {
        let queue = try DatabaseQueue(path: path)
        defer { try? queue.close() }
        return try queue.read { database in
            let mark = try Int64.fetchOne(database, sql: "PRAGMA application_id") ?? 0
            guard mark == SQLiteEngine.applicationID else { throw StoreError.notOurs(path) }
            let words = try String.fetchAll(database, sql: "PRAGMA integrity_check(5)")
            guard words == ["ok"] else {
                throw StoreError.failed("the copy is damaged: \(words.joined(separator: "; "))")
            }
            func number(_ sql: String) throws -> Int64 { try Int64.fetchOne(database, sql: sql) ?? 0 }
            let keyID = try String.fetchOne(database, sql: "SELECT value FROM meta WHERE name = 'sealing_key_id'")
            return Contents(
                version: try number("SELECT coalesce(max(version), 0) FROM migrations"),
                payouts: try number("SELECT count(*) FROM payouts"),
                deliveries: try number("SELECT count(*) FROM deliveries"),
                bytes: try number("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"),
                keyID: keyID ?? "")
        }
    }
}
