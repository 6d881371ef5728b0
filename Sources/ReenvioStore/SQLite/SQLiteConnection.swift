import Foundation
import GRDB
import GRDBSQLite
import Synchronization

/// `SQLConnection` over a GRDB connection, valid while GRDB's access closure runs. GRDB prepares, caches and owns the
/// statements; values are bound and rows are stepped through SQLite's C functions, which costs a third of doing it
/// through `StatementArguments` and `Row`.
final class SQLiteConnection: SQLConnection {
    private let database: Database

    let dialect = Dialect.sqlite

    init(_ database: Database) {
        self.database = database
    }

    func run(_ sql: String, _ parameters: [SQLValue]) throws -> Int {
        let statement = try prepare(Rewritten.plain(sql))
        defer { finish(statement) }
        bind(parameters, to: statement)
        try step(statement) { _ in }
        return Int(sqlite3_changes(handle))
    }

    func query(_ sql: String, _ parameters: [SQLValue], _ row: (any SQLRow) throws -> Void) throws {
        let statement = try prepare(Rewritten.plain(sql))
        defer { finish(statement) }
        bind(parameters, to: statement)
        try step(statement, row)
    }

    func batch(_ sql: String, _ rows: SQLRows, _ row: (any SQLRow) throws -> Void) throws -> Int {
        var changed = 0
        try forEach(sql, rows) { statement in
            try step(statement, row)
            changed += Int(sqlite3_changes(handle))
        }
        return changed
    }

    func send(_ sql: String, _ rows: SQLRows) throws {
        try batch(sql, rows) { _ in }
    }

    func effects(_ sql: String, _ rows: SQLRows) throws -> [Bool] {
        var effects: [Bool] = []
        effects.reserveCapacity(rows.count)
        try forEach(sql, rows) { statement in
            try step(statement) { _ in }
            effects.append(sqlite3_changes(handle) > 0)
        }
        return effects
    }

    /// Prepares once, and runs once per row.
    private func forEach(_ sql: String, _ rows: SQLRows, _ body: (OpaquePointer) throws -> Void) throws {
        if rows.isEmpty { return }
        let statement = try prepare(Rewritten.batch(sql, rows))
        defer { sqlite3_clear_bindings(statement) }
        for index in 0..<rows.count {
            // Every row binds every parameter, so none is left from the row before.
            defer { sqlite3_reset(statement) }
            bind(rows[index], to: statement)
            try body(statement)
        }
    }

    func nextIDs(_ sequence: IDSequence, _ count: Int) throws -> [Int64] {
        if count == 0 { return [] }
        let next = try first(
            "UPDATE id_sequences SET next = next + $2 WHERE name = $1 RETURNING next",
            [.text(sequence.rawValue), .int(count)], { $0.int(0) }
        )
        guard let next else { throw StoreError.failed("no id sequence \(sequence.rawValue)") }
        return Array(next - Int64(count)..<next)
    }

    func pass(_ sequence: IDSequence, _ id: Int64) throws {
        try run(
            "UPDATE id_sequences SET next = $2 WHERE name = $1 AND next < $2", [.text(sequence.rawValue), .int(id + 1)])
    }

    func idCeiling(_ sequence: IDSequence) throws -> Int64 {
        try first("SELECT next FROM id_sequences WHERE name = $1", [.text(sequence.rawValue)]) { $0.int(0) } ?? 0
    }

    private var handle: OpaquePointer? { database.sqliteConnection }

    private func prepare(_ sql: String) throws -> OpaquePointer {
        errno = 0
        do {
            return try database.cachedStatement(sql: sql).sqliteStatement
        } catch let error as DatabaseError {
            throw StoreError(error)
        }
    }

    /// Leaves the statement ready for its next use; an unfinished one would hold the transaction open.
    private func finish(_ statement: OpaquePointer) {
        sqlite3_reset(statement)
        sqlite3_clear_bindings(statement)
    }

    private func step(_ statement: OpaquePointer, _ row: (any SQLRow) throws -> Void) throws {
        let current = SQLiteRow(statement: statement)
        errno = 0
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: try row(current)
            case SQLITE_DONE: return
            case let code:
                let message = String(cString: sqlite3_errmsg(handle))
                if let duplicate = Self.duplicateID(sqlite3_extended_errcode(handle), message) { throw duplicate }
                throw StoreError(code: code, message: message)
            }
        }
    }

    /// The sequence of a key that is taken: `UNIQUE constraint failed: deliveries.merchant_id, deliveries.id`.
    private static func duplicateID(_ code: CInt, _ message: String) -> DuplicateID? {
        guard code & 0xFF == SQLITE_CONSTRAINT, let column = message.split(separator: " ").last,
            let point = column.lastIndex(of: "."), column[point...] == ".id"
        else { return nil }
        return IDSequence(keyOf: column[..<point]).map(DuplicateID.init)
    }

    private func bind(_ parameters: some Sequence<SQLValue>, to statement: OpaquePointer) {
        // SQLITE_TRANSIENT, a cast in C: SQLite copies the bytes before the call returns.
        let copy = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        for (offset, value) in parameters.enumerated() {
            let index = CInt(offset + 1)
            switch value {
            case .null: sqlite3_bind_null(statement, index)
            case .int(let value): sqlite3_bind_int64(statement, index, value)
            case .text(var value):
                value.withUTF8 { bytes in
                    let start = UnsafeRawPointer(bytes.baseAddress)?.assumingMemoryBound(to: CChar.self)
                    if let start, !bytes.isEmpty {
                        sqlite3_bind_text(statement, index, start, CInt(bytes.count), copy)
                    } else {
                        sqlite3_bind_text(statement, index, "", 0, copy)
                    }
                }
            case .blob(let value):
                if value.isEmpty {
                    sqlite3_bind_zeroblob(statement, index, 0)
                } else {
                    sqlite3_bind_blob(statement, index, value, CInt(value.count), copy)
                }
            }
        }
    }
}

/// The current row of a stepped statement.
private struct SQLiteRow: SQLRow {
    let statement: OpaquePointer

    func isNull(_ column: Int) -> Bool { sqlite3_column_type(statement, CInt(column)) == SQLITE_NULL }

    func int(_ column: Int) -> Int64 { sqlite3_column_int64(statement, CInt(column)) }

    func text(_ column: Int) -> String {
        guard let start = sqlite3_column_text(statement, CInt(column)) else { return "" }
        let count = Int(sqlite3_column_bytes(statement, CInt(column)))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    func blob(_ column: Int) -> [UInt8] {
        guard let start = sqlite3_column_blob(statement, CInt(column)) else { return [] }
        let count = Int(sqlite3_column_bytes(statement, CInt(column)))
        return [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    }
}

/// Statement texts in SQLite's spelling, rewritten once each. There are as many as the source has, so it is bounded.
private enum Rewritten {
    private static let texts = Mutex<[String: String]>([:])

    static func plain(_ sql: String) -> String {
        texts.withLock { texts in
            if let known = texts[sql] { return known }
            let text = Dialect.sqlite.rewrite(sql)
            texts[sql] = text
            return text
        }
    }

    static func batch(_ sql: String, _ rows: SQLRows) -> String {
        texts.withLock { texts in
            if let known = texts[sql] { return known }
            let text = Dialect.sqlite.rewrite(sql, rows: rows.columns)
            texts[sql] = text
            return text
        }
    }
}

extension StoreError {
    init(code: CInt, message: String) {
        switch code & 0xFF {
        // SQLite calls a page that the disk did not give malformed, too. `errno` still tells the one from the other.
        case SQLITE_CORRUPT where [EIO, ENXIO, ERANGE].contains(errno):
            self = .unavailable("the disk cannot be read: \(String(cString: strerror(errno)))")
        case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL, SQLITE_IOERR, SQLITE_READONLY, SQLITE_CANTOPEN, SQLITE_INTERRUPT,
            SQLITE_NOMEM:
            self = .unavailable(message)
        case SQLITE_NOTADB: self = .notOurs("the file")
        default: self = .failed(message)
        }
    }

    init(_ error: DatabaseError) {
        self.init(code: error.extendedResultCode.rawValue, message: Self.words(error))
    }

    /// What SQLite says of an error. After a failed copy the connection knows of none, and says so.
    static func words(_ error: DatabaseError) -> String {
        if let message = error.message, message != "not an error" { return message }
        return String(cString: sqlite3_errstr(error.extendedResultCode.rawValue))
    }
}
