/// The complete list of differences between the engines. Everything else is one text for both.
package enum Dialect: Sendable {
    case sqlite, postgres

    /// Which form of a batched statement is meant (`SQLConnection.batch`, `.effects`).
    package enum BatchForm {
        case plain
        /// Says for each row whether it changed anything.
        case effects
    }

    /// Rewrites a statement without rows to the engine's own spelling.
    package func rewrite(_ sql: String) -> String {
        switch self {
        case .sqlite: numbered(unlocked(sql))
        case .postgres: definesTable(sql) ? withTypes(sql) : sql
        }
    }

    /// Rewrites a batched statement, with the table of rows behind `{rows}`.
    package func rewrite(
        _ sql: String, rows columns: [(name: String, type: SQLRows.ColumnType)], _ form: BatchForm = .plain
    ) -> String {
        switch self {
        case .sqlite: numbered(forEachRow(unlocked(sql), columns))
        case .postgres: unnested(sql, columns, form)
        }
    }

    /// The statements behind one of the schema. Ids come from rows of a table on SQLite, where there is one writer, and
    /// from sequences on PostgreSQL, where a row would stay locked until the commit of whoever took an id.
    /// Histories are cut into pieces on PostgreSQL only.
    func schema(_ sql: String) -> [String] {
        if let cut = TimePieces.all.first(where: { sql == "CUT \($0.table)" }) {
            return self == .postgres ? cut.cutting : []
        }
        guard self == .postgres else { return [sql] }
        if sql.contains("CREATE TABLE id_sequences") { return [] }
        if sql.hasPrefix("INSERT INTO id_sequences") {
            return IDSequence.allCases.filter { sql.contains("'\($0.rawValue)'") }.map {
                "CREATE SEQUENCE \($0.postgresName) INCREMENT BY \($0.blockSize)"
            }
        }
        let settings = HotTables.settings.filter { sql.hasPrefix("CREATE TABLE \($0.table) ") }
        return [sql] + settings.map { "ALTER TABLE \($0.table) SET (\($0.options))" }
    }

    /// Whether writes run side by side, and lock the rows that they decide on.
    var hasRowLocks: Bool { self == .postgres }

    /// Whether histories that only grow are cut into pieces of time (`TimePieces`).
    var cutsHistories: Bool { self == .postgres }

    /// What a read of everything runs first: its statements may take what they take.
    var beforeLongRead: [String] {
        switch self {
        case .sqlite: []
        case .postgres: ["SET LOCAL statement_timeout = 0"]
        }
    }

    /// What a migration runs before it looks at anything: one node at a time, and for as long as it takes.
    var beforeMigration: [String] {
        switch self {
        case .sqlite: []
        case .postgres:
            beforeLongRead + [
                "SET LOCAL lock_timeout = 0",
                "SELECT pg_advisory_xact_lock(\(Self.advisoryClass), hashtext(current_schema()))",
            ]
        }
    }

    /// What runs before pieces of a history are made or dropped: one node at a time, and nobody waits behind it for
    /// long.
    var beforeCutting: [String] {
        switch self {
        case .sqlite: []
        case .postgres:
            [
                "SET LOCAL lock_timeout = '500ms'",
                "SELECT pg_advisory_xact_lock(\(Self.advisoryClass), hashtext('pieces of ' || current_schema()))",
            ]
        }
    }

    /// What runs before ids of a sequence are reserved: on PostgreSQL a lock that waits for each transaction that has
    /// drawn from it, and that drawing waits for until the commit. No other statement locks a sequence itself.
    func beforeReserving(_ sequence: IDSequence) -> [String] {
        switch self {
        case .sqlite: []
        case .postgres:
            [
                "SET LOCAL lock_timeout = '2s'",
                "ALTER SEQUENCE \(sequence.postgresName) INCREMENT BY \(sequence.blockSize)",
            ]
        }
    }

    /// What runs before sequences are moved beyond the stored ids: one node at a time.
    var beforePassingStoredIDs: [String] {
        switch self {
        case .sqlite: []
        case .postgres:
            ["SELECT pg_advisory_xact_lock(\(Self.advisoryClass), hashtext('ids of ' || current_schema()))"]
        }
    }

    /// Microseconds since 1970 by the clock of a server; nil where the store is in this process.
    var serverTime: String? {
        switch self {
        case .sqlite: nil
        case .postgres: "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"
        }
    }

    /// "Rnvo" as a big-endian number: the first half of the keys of our advisory locks.
    static let advisoryClass: Int64 = 0x526E_766F
}

// MARK: - SQLite

extension Dialect {
    /// SQLite numbers a `$name` by its first appearance, not by its name: `$2 ... $1` would swap silently.
    /// `?2 ... ?1` is what is meant.
    private func numbered(_ sql: String) -> String {
        String(decoding: sql.utf8.map { $0 == UInt8(ascii: "$") ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
    }

    /// A transaction of SQLite has the whole database to itself. Locks on rows stand at the end of a statement, or of
    /// one in brackets.
    private func unlocked(_ sql: String) -> String {
        for lock in ["FOR UPDATE", "FOR SHARE"] {
            guard let found = sql.firstRange(of: lock) else { continue }
            return String(sql[..<found.lowerBound] + sql[found.lowerBound...].drop { $0 != ")" })
        }
        return sql
    }

    /// The statement for one row: the table of rows vanishes, and its columns are the parameters. The prepared
    /// statement then runs once per row; a table of one row would be materialised each time, at several times the cost.
    private func forEachRow(_ sql: String, _ columns: [(name: String, type: SQLRows.ColumnType)]) -> String {
        var text = withValues(sql).replacing("FROM {rows} CROSS JOIN LATERAL", with: "FROM")
        for source in ["FROM {rows}", "USING {rows}", ", {rows}"] { text = text.replacing(source, with: "") }
        // Longer names first: `rows.id` must not eat the beginning of `rows.id_of`.
        for (offset, column) in columns.enumerated().sorted(by: { $0.element.name.count > $1.element.name.count }) {
            text = text.replacing("rows.\(column.name)", with: "$\(offset + 1)")
        }
        return text
    }

    /// `INSERT ... SELECT a, b FROM {rows} WHERE true ...` as `INSERT ... VALUES (a, b) ...`, which SQLite runs without
    /// the co-routine of a SELECT. A real condition stays what it is.
    private func withValues(_ sql: String) -> String {
        guard sql.hasPrefix("INSERT"), let select = sql.firstRange(of: "SELECT "),
            let source = sql.firstRange(of: "FROM {rows}")
        else { return sql }
        var rest = sql[source.upperBound...].drop { $0.isWhitespace }
        if rest.hasPrefix("WHERE true") {
            rest = rest.dropFirst("WHERE true".count)
        } else if !rest.isEmpty {
            return sql
        }
        return sql[..<select.lowerBound] + "VALUES (" + sql[select.upperBound..<source.lowerBound] + ") " + rest
    }
}

// MARK: - PostgreSQL

extension Dialect {
    private func definesTable(_ sql: String) -> Bool {
        sql.hasPrefix("CREATE TABLE") || sql.hasPrefix("ALTER TABLE")
    }

    /// SQLite's types and table options as PostgreSQL's.
    private func withTypes(_ sql: String) -> String {
        var text = sql
        for (theirs, ours) in [
            (" INTEGER", " BIGINT"), (" BLOB", " BYTEA"), (" STRICT, WITHOUT ROWID", ""), (" STRICT", ""),
        ] {
            text = text.replacing(theirs, with: ours)
        }
        return text
    }

    /// The rows as arrays, one a column: one statement and one round trip for all of them.
    private func unnested(
        _ sql: String, _ columns: [(name: String, type: SQLRows.ColumnType)], _ form: BatchForm
    ) -> String {
        let arrays = columns.enumerated().map { "$\($0.offset + 1)::\($0.element.type.postgresName)[]" }
        let names = columns.map { "\"\($0.name)\"" }
        let unnest = "unnest(\(arrays.joined(separator: ", ")))"
        switch form {
        case .plain:
            return sql.replacing("{rows}", with: "\(unnest) AS rows(\(names.joined(separator: ", ")))")
        case .effects:
            let numbered = "\(unnest) WITH ORDINALITY AS rows(\(names.joined(separator: ", ")), \"number of row\")"
            return sql.replacing("{rows}", with: numbered) + " RETURNING rows.\"number of row\""
        }
    }
}

extension SQLRows.ColumnType {
    fileprivate var postgresName: String {
        switch self {
        case .int: "bigint"
        case .text: "text"
        case .blob: "bytea"
        }
    }
}

extension IDSequence {
    var postgresName: String { "ids_\(rawValue)" }

    /// How many ids one value of the sequence stands for on PostgreSQL: those drawn in great numbers come in blocks,
    /// which a node keeps. The others come one by one, so that lists by id are lists by time.
    var blockSize: Int64 {
        switch self {
        case .delivery, .notification, .event: 4_096
        default: 1
        }
    }
}
