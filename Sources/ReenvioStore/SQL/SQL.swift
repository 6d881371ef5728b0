package import ReenvioModel

/// A value bound to a parameter. Nothing else ever reaches a statement: SQL texts are constants.
package enum SQLValue: Sendable, Equatable {
    case null
    case int(Int64)
    case text(String)
    case blob([UInt8])

    package static func int(_ value: Int) -> SQLValue { .int(Int64(value)) }
    package static func bool(_ value: Bool) -> SQLValue { .int(value ? 1 : 0) }
    package static func time(_ value: Timestamp) -> SQLValue { .int(value.microseconds) }
    package static func optional(_ value: Int64?) -> SQLValue { value.map { .int($0) } ?? .null }
    package static func optional(_ value: Int?) -> SQLValue { value.map { .int(Int64($0)) } ?? .null }
    package static func optional(_ value: String?) -> SQLValue { value.map { .text($0) } ?? .null }
    package static func optional(_ value: Timestamp?) -> SQLValue { value.map { .int($0.microseconds) } ?? .null }
    package static func optional(_ value: [UInt8]?) -> SQLValue { value.map { .blob($0) } ?? .null }
}

/// One row of a result, valid only while its closure runs. Columns are read by position; the schema is STRICT, so a
/// column has the type that was declared.
package protocol SQLRow {
    func isNull(_ column: Int) -> Bool
    func int(_ column: Int) -> Int64
    func text(_ column: Int) -> String
    func blob(_ column: Int) -> [UInt8]
}

extension SQLRow {
    package func intIfPresent(_ column: Int) -> Int64? { isNull(column) ? nil : int(column) }
    package func textIfPresent(_ column: Int) -> String? { isNull(column) ? nil : text(column) }
    package func blobIfPresent(_ column: Int) -> [UInt8]? { isNull(column) ? nil : blob(column) }
    package func bool(_ column: Int) -> Bool { int(column) != 0 }
    package func time(_ column: Int) -> Timestamp { Timestamp(microseconds: int(column)) }
    package func timeIfPresent(_ column: Int) -> Timestamp? { intIfPresent(column).map(Timestamp.init(microseconds:)) }
}

/// Rows of parameters for a batched statement, with the names and types that stand behind `{rows}`.
package struct SQLRows: Sendable {
    /// Types as PostgreSQL needs them for its arrays; SQLite has no use for them.
    package enum ColumnType: Sendable {
        case int, text, blob
    }

    package let columns: [(name: String, type: ColumnType)]
    package private(set) var count = 0
    /// Row after row, in one array.
    private var values: [SQLValue] = []

    package init(_ columns: [(name: String, type: ColumnType)], reserving rows: Int = 0) {
        self.columns = columns
        values.reserveCapacity(rows * columns.count)
    }

    package var isEmpty: Bool { count == 0 }

    package mutating func append(_ row: [SQLValue]) {
        precondition(row.count == columns.count, "a row has a value for each column")
        values.append(contentsOf: row)
        count += 1
    }

    package subscript(row: Int) -> ArraySlice<SQLValue> {
        values[row * columns.count..<(row + 1) * columns.count]
    }

    /// The values of one column, row after row.
    func forEach(in column: Int, _ body: (SQLValue) -> Void) {
        for place in stride(from: column, to: values.count, by: columns.count) { body(values[place]) }
    }
}

/// A connection inside a transaction, or inside a snapshot for reads. Parameters are written `$1`, `$2`, ...; an engine
/// rewrites them when it prepares. Statements are prepared once per connection. What a statement reads to decide on and
/// others may change is read with `FOR UPDATE`, at its end: PostgreSQL runs writes side by side (`Dialect`).
package protocol SQLConnection: AnyObject {
    var dialect: Dialect { get }

    /// Runs a statement that returns nothing; gives the number of rows changed.
    @discardableResult
    func run(_ sql: String, _ parameters: [SQLValue]) throws -> Int

    /// Runs a statement and hands over each row.
    func query(_ sql: String, _ parameters: [SQLValue], _ row: (any SQLRow) throws -> Void) throws

    /// Runs one statement for many rows of parameters. The text names them as a table called `rows`, which stands as
    /// `FROM {rows}`, `USING {rows}` or `, {rows}`, its columns always qualified: `rows.id`. One round trip on
    /// PostgreSQL (`unnest`); on SQLite the prepared statement runs once per row. The statement must therefore mean the
    /// same for all rows at once and one after another.
    @discardableResult
    func batch(_ sql: String, _ rows: SQLRows, _ row: (any SQLRow) throws -> Void) throws -> Int

    /// The same where nobody needs to know what came of it, not even whether it failed: that is thrown by a later
    /// statement of the transaction, at the latest by its commit. PostgreSQL is sent it without waiting for the answer.
    func send(_ sql: String, _ rows: SQLRows) throws

    /// Runs one UPDATE or DELETE for many rows of parameters, as `batch` does, and says for each row whether it changed
    /// anything. The text has no RETURNING: SQLite would collect it in a table that it opens and throws away each time,
    /// and knows the number of changes anyway; on PostgreSQL the engine appends one, with the number of the row.
    func effects(_ sql: String, _ rows: SQLRows) throws -> [Bool]

    /// The next `count` ids of a sequence, ascending.
    func nextIDs(_ sequence: IDSequence, _ count: Int) throws -> [Int64]

    /// From now on the sequence gives ids above `id`, which somebody chose. On PostgreSQL others may be drawing at this
    /// moment, and may still be given it: whoever inserts under a drawn id looks whether it was free.
    func pass(_ sequence: IDSequence, _ id: Int64) throws

    /// A number that every id given out so far lies below.
    func idCeiling(_ sequence: IDSequence) throws -> Int64

    /// How long the statements that follow in this transaction wait for a row that somebody else has locked; beyond it
    /// they throw `StoreError.locked`.
    func waitForLocks(atMost wait: Duration) throws
}

/// The id sequences of the store.
package enum IDSequence: String, Sendable, CaseIterable {
    case account, merchant, payout, notification, receiver, delivery, resend, audit, registration, user
    case qrCode = "qr_code"
    case event
    case notice
}

extension SQLConnection {
    /// Where there is one writer nobody else has a lock.
    package func waitForLocks(atMost wait: Duration) throws {}

    @discardableResult
    package func run(_ sql: String) throws -> Int {
        try run(sql, [])
    }

    /// Runs it and counts what changed.
    package func changes(_ sql: String, _ rows: SQLRows) throws -> Int {
        try batch(sql, rows) { _ in }
    }

    /// The first row, mapped; nil when there is none.
    package func first<T>(_ sql: String, _ parameters: [SQLValue] = [], _ map: (any SQLRow) throws -> T) throws -> T? {
        var result: T?
        try query(sql, parameters) { row in
            if result == nil { result = try map(row) }
        }
        return result
    }

    /// Every row, mapped.
    package func all<T>(_ sql: String, _ parameters: [SQLValue] = [], _ map: (any SQLRow) throws -> T) throws -> [T] {
        var result: [T] = []
        try query(sql, parameters) { result.append(try map($0)) }
        return result
    }
}
