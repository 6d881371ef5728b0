package import ReenvioStore
import Synchronization

/// An engine that notes the text of every statement that its writers run, as the database gets it, with the types of its
/// parameters.
package final class RecordingEngine: StoreEngine {
    private let base: any StoreEngine
    private let texts = Mutex<[String: [String]]>([:])

    package init(_ base: any StoreEngine) {
        self.base = base
    }

    /// The statements so far that look for rows, sorted; types are empty where the text has them.
    package var statements: [(text: String, types: [String])] {
        texts.withLock { texts in
            texts.filter { text, _ in
                ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains { text.hasPrefix($0) }
            }.map { (text: $0.key, types: $0.value) }
        }.sorted { $0.text < $1.text }
    }

    package func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await base.read(body)
    }

    package func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await base.lookup(body)
    }

    package func write<T: Sendable>(
        _ priority: WritePriority, _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        try await base.write(priority) { db in try body(RecordingConnection(db, self)) }
    }

    package var sharing: (any StoreSharing)? { base.sharing }

    package var idRepairs: Int { base.idRepairs }

    package func close() throws {
        try base.close()
    }

    fileprivate func note(_ text: String, _ parameters: [SQLValue] = []) {
        texts.withLock { texts in
            // One that was null may have been something before.
            let types = parameters.enumerated().map { offset, value in
                Self.type(value) ?? texts[text]?[offset] ?? "unknown"
            }
            texts[text] = types
        }
    }

    private static func type(_ value: SQLValue) -> String? {
        switch value {
        case .null: nil
        case .int: "bigint"
        case .text: "text"
        case .blob: "bytea"
        }
    }
}

private final class RecordingConnection: SQLConnection {
    private let base: any SQLConnection
    private let log: RecordingEngine

    init(_ base: any SQLConnection, _ log: RecordingEngine) {
        self.base = base
        self.log = log
    }

    func run(_ sql: String, _ parameters: [SQLValue]) throws -> Int {
        log.note(dialect.rewrite(sql), parameters)
        return try base.run(sql, parameters)
    }

    func query(_ sql: String, _ parameters: [SQLValue], _ row: (any SQLRow) throws -> Void) throws {
        log.note(dialect.rewrite(sql), parameters)
        try base.query(sql, parameters, row)
    }

    func batch(_ sql: String, _ rows: SQLRows, _ row: (any SQLRow) throws -> Void) throws -> Int {
        if !rows.isEmpty { log.note(dialect.rewrite(sql, rows: rows.columns)) }
        return try base.batch(sql, rows, row)
    }

    func send(_ sql: String, _ rows: SQLRows) throws {
        if !rows.isEmpty { log.note(dialect.rewrite(sql, rows: rows.columns)) }
        try base.send(sql, rows)
    }

    func effects(_ sql: String, _ rows: SQLRows) throws -> [Bool] {
        if !rows.isEmpty { log.note(dialect.rewrite(sql, rows: rows.columns, .effects)) }
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
