import Foundation
import GRDB

/// A copy of a SQLite store in one file, made while others read and write it, and checked before it gets its name.
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

    /// Copies `source` to the new file `target`: one snapshot, whatever is written meanwhile.
    /// - Throws: `Refused` where there is no `source` or `target` exists, `StoreError.unavailable` where it cannot be
    ///   written, `.notOurs` where `source` is no
    ///   store of ours, `.failed` where the copy is damaged; `target` is then not there.
    package static func copy(from source: String, to target: String) throws -> Contents {
        let manager = FileManager.default
        guard manager.fileExists(atPath: source) else { throw Refused(description: "there is no file \(source)") }
        guard !manager.fileExists(atPath: target) else { throw Refused(description: "\(target) exists already") }
        let partial = target + ".partial"
        try? manager.removeItem(atPath: partial)
        defer { try? manager.removeItem(atPath: partial) }
        do {
            try copyPages(from: source, to: partial)
            let contents = try inspect(partial)
            try sync(partial)
            guard rename(partial, target) == 0 else { throw StoreError.unavailable("\(target) cannot be written") }
            try sync(URL(fileURLWithPath: target).deletingLastPathComponent().path)
            return contents
        } catch let error as DatabaseError {
            if error.resultCode == .SQLITE_NOTADB { throw StoreError.notOurs(source) }
            throw StoreError(error)
        }
    }

    private static func copyPages(from source: String, to target: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.busyMode = .timeout(10)
        let from = try DatabaseQueue(path: source, configuration: configuration)
        defer { try? from.close() }
        let to = try DatabaseQueue(path: target)
        defer { try? to.close() }
        try from.backup(to: to)
    }

    /// - Throws: `StoreError.failed` for a damaged file, `.notOurs` for somebody else's.
    package static func inspect(_ path: String) throws -> Contents {
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

    private static func sync(_ path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw StoreError.unavailable("\(path) cannot be opened") }
        defer { close(file) }
        guard fsync(file) == 0 else { throw StoreError.unavailable("\(path) cannot be written to the disk") }
    }
}
