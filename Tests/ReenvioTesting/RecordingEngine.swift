package import ReenvioStore
import Synchronization

/// The texts of the statements that stores ran, each once, with what its parameters are.
package final class StatementBook: Sendable {
    /// Test stores that are opened meanwhile write into it.
    @TaskLocal package static var current: StatementBook?

    package enum Form: Hashable, Sendable { case plain, rows, effects }

    package struct Statement: Sendable {
        package var sql: String
        package var form: Form
        package var isWriter: Bool
        /// Of a statement for many rows.
        package var columns: [(name: String, type: SQLRows.ColumnType)] = []
        /// Of a statement with parameters; nil where none but nulls were seen.
        package var types: [SQLRows.ColumnType?] = []

        package init(sql: String, form: Form, isWriter: Bool) {
            (self.sql, self.form, self.isWriter) = (sql, form, isWriter)
        }
    }

    private struct Key: Hashable {
        var sql: String
        var form: Form
        var isWriter: Bool
    }

    private let statements = Mutex<[Key: Statement]>([:])

    package init() {}

    /// Statements that read or change rows, in the order of their texts.
    package var all: [Statement] {
        statements.withLock { Array($0.values) }.sorted { ($0.sql, "\($0.form)") < ($1.sql, "\($1.form)") }
    }

    fileprivate func note(_ sql: String, _ values: [SQLValue], isWriter: Bool) {
        guard Self.isData(sql) else { return }
        let types = values.map(\.type)
        statements.withLock { statements in
            let key = Key(sql: sql, form: .plain, isWriter: isWriter)
            var statement = statements[key] ?? Statement(sql: sql, form: .plain, isWriter: isWriter)
            statement.types = statement.types.isEmpty ? types : zip(statement.types, types).map { $0 ?? $1 }
            statements[key] = statement
        }
    }

    fileprivate func note(_ sql: String, _ rows: SQLRows, _ form: Form, isWriter: Bool) {
        guard Self.isData(sql) else { return }
        statements.withLock { statements in
            var statement = Statement(sql: sql, form: form, isWriter: isWriter)
            statement.columns = rows.columns
            statements[Key(sql: sql, form: form, isWriter: isWriter)] = statement
        }
    }

    private static func isData(_ sql: String) -> Bool {
        ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains { sql.hasPrefix($0) }
    }
}

extension SQLValue {
    fileprivate var type: SQLRows.ColumnType? {
        switch self {
        case .null: nil
        case .int: .int
        case .text: .text
        case .blob: .blob
        }
    }
}

/// An engine that writes down what is run on it.
package final class RecordingEngine: StoreEngine {
    private let base: any StoreEngine
    private let book: StatementBook

    package init(_ base: any StoreEngine, in book: StatementBook) {
        self.base = base
        self.book = book
    }

    package func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        let book = book
        return try await base.read { db in try body(RecordingConnection(db, book, isWriter: false)) }
    }

    package func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        let book = book
        return try await base.lookup { db in try body(RecordingConnection(db, book, isWriter: false)) }
    }

    package func write<T: Sendable>(
        _ priority: WritePriority, _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        let book = book
        return try await base.write(priority) { db in try body(RecordingConnection(db, book, isWriter: true)) }
    }

    package var sharing: (any StoreSharing)? { base.sharing }
    package var files: (any StoreFiles)? { base.files }

    package var idRepairs: Int { base.idRepairs }

    package func close() throws {
        try base.close()
    }
}

private final class RecordingConnection: SQLConnection {
    private let base: any SQLConnection
    private let book: StatementBook
    private let isWriter: Bool

    init(_ base: any SQLConnection, _ book: StatementBook, isWriter: Bool) {
        self.base = base
        self.book = book
        self.isWriter = isWriter
    }

    func run(_ sql: String, _ parameters: [SQLValue]) throws -> Int {
        book.note(sql, parameters, isWriter: isWriter)
        return try base.run(sql, parameters)
    }

    func query(_ sql: String, _ parameters: [SQLValue], _ row: (any SQLRow) throws -> Void) throws {
        book.note(sql, parameters, isWriter: isWriter)
        try base.query(sql, parameters, row)
    }

    func batch(_ sql: String, _ rows: SQLRows, _ row: (any SQLRow) throws -> Void) throws -> Int {
        book.note(sql, rows, .rows, isWriter: isWriter)
        return try base.batch(sql, rows, row)
    }

    func send(_ sql: String, _ rows: SQLRows) throws {
        book.note(sql, rows, .rows, isWriter: isWriter)
        try base.send(sql, rows)
    }

    func effects(_ sql: String, _ rows: SQLRows) throws -> [Bool] {
        book.note(sql, rows, .effects, isWriter: isWriter)
        return try base.effects(sql, rows)
    }

    func nextIDs(_ sequence: IDSequence, _ count: Int) throws -> [Int64] {
        try base.nextIDs(sequence, count)
    }

    var dialect: Dialect { base.dialect }

    func pass(_ sequence: IDSequence, _ id: Int64) throws {
        try base.pass(sequence, id)
    }

    func idCeiling(_ sequence: IDSequence) throws -> Int64 {
        try base.idCeiling(sequence)
    }
}
