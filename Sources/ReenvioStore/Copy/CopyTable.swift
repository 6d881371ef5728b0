import ReenvioModel

/// A table as it is copied: page by page in the order of its key.
struct CopyTable: Sendable {
    let name: String
    let columns: [(name: String, type: SQLRows.ColumnType)]
    /// Places of the key's columns.
    let key: [Int]

    /// What stands in tables of its own on each engine, or is said by the copy itself.
    private static let notCopied: Set<String> = ["migrations", "id_sequences", "meta"]

    /// The tables of a SQLite store.
    static func all(in db: any SQLConnection) throws -> [CopyTable] {
        let names = try db.all(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        ) { $0.text(0) }
        return try names.filter { !notCopied.contains($0) }.map { try CopyTable($0, in: db) }
    }

    private init(_ name: String, in db: any SQLConnection) throws {
        self.name = name
        let found = try db.all("SELECT name, type, pk FROM pragma_table_info($1) ORDER BY cid", [.text(name)]) {
            (name: $0.text(0), type: $0.text(1), place: $0.int(2))
        }
        columns = try found.map { column in
            switch column.type {
            case "INTEGER": (column.name, .int)
            case "TEXT": (column.name, .text)
            case "BLOB": (column.name, .blob)
            default: throw StoreError.failed("column \(name).\(column.name) has the type \(column.type)")
            }
        }
        key = found.indices.filter { found[$0].place > 0 }.sorted { found[$0].place < found[$1].place }
        guard !key.isEmpty else { throw StoreError.failed("table \(name) has no key") }
    }

    private var list: String { columns.map { "\"\($0.name)\"" }.joined(separator: ", ") }
    private var keyList: String { key.map { "\"\(columns[$0].name)\"" }.joined(separator: ", ") }

    func count(in db: any SQLConnection) throws -> Int64 {
        try db.first("SELECT count(*) FROM \"\(name)\"") { $0.int(0) } ?? 0
    }

    /// Up to `limit` rows behind a key; nil for the first ones.
    func page(after position: [SQLValue]?, limit: Int, in db: any SQLConnection) throws -> SQLRows {
        var rows = SQLRows(columns, reserving: limit)
        let order = "ORDER BY \(keyList) LIMIT \(limit)"
        let behind = position.map { values in
            "WHERE (\(keyList)) > (\(values.indices.map { "$\($0 + 1)" }.joined(separator: ", ")))"
        }
        try db.query("SELECT \(list) FROM \"\(name)\" \(behind ?? "") \(order)", position ?? []) { row in
            rows.append(columns.indices.map { value(of: row, $0) })
        }
        return rows
    }

    private func value(of row: any SQLRow, _ column: Int) -> SQLValue {
        if row.isNull(column) { return .null }
        switch columns[column].type {
        case .int: return .int(row.int(column))
        case .text: return .text(row.text(column))
        case .blob: return .blob(row.blob(column))
        }
    }

    func position(of row: ArraySlice<SQLValue>) -> [SQLValue] {
        key.map { row[row.startIndex + $0] }
    }

    func insert(_ rows: SQLRows, in db: any SQLConnection) throws {
        let values = columns.map { "rows.\($0.name)" }.joined(separator: ", ")
        try db.send("INSERT INTO \"\(name)\" (\(list)) SELECT \(values) FROM {rows}", rows)
    }
}

/// What a table holds, whatever the order in which it is read: the number of its rows, and the sum of their hashes.
struct CopyChecksum: Equatable, Sendable {
    var rows: Int64 = 0
    private var sum: UInt64 = 0

    mutating func add(_ page: SQLRows) {
        for index in 0..<page.count {
            var hash: UInt64 = 0xCBF2_9CE4_8422_2325
            func mix(_ byte: UInt8) { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
            for value in page[index] {
                switch value {
                case .null: mix(0)
                case .int(let number):
                    mix(1)
                    for shift in stride(from: 0, to: 64, by: 8) { mix(UInt8(truncatingIfNeeded: number >> shift)) }
                case .text(let text):
                    mix(2)
                    for byte in text.utf8 { mix(byte) }
                case .blob(let bytes):
                    mix(3)
                    for byte in bytes { mix(byte) }
                }
                mix(0xFF)
            }
            rows += 1
            sum &+= hash
        }
    }
}

/// Positions of a copy as texts, such as `i303,i7`; blobs and texts in hex.
enum CopyPosition {
    static func text(_ values: [SQLValue]) -> String {
        values.map { value in
            switch value {
            case .null: "n"
            case .int(let number): "i\(number)"
            case .text(let text): "t\(Hex.text(Array(text.utf8)))"
            case .blob(let bytes): "b\(Hex.text(bytes))"
            }
        }.joined(separator: ",")
    }

    static func values(_ text: String) -> [SQLValue]? {
        var values: [SQLValue] = []
        for part in text.split(separator: ",") {
            let rest = part.dropFirst()
            switch part.first {
            case "i":
                guard let number = Int64(rest) else { return nil }
                values.append(.int(number))
            case "t":
                guard let bytes = bytes(rest) else { return nil }
                values.append(.text(String(decoding: bytes, as: UTF8.self)))
            case "b":
                guard let bytes = bytes(rest) else { return nil }
                values.append(.blob(bytes))
            default: return nil
            }
        }
        return values
    }

    private static func bytes(_ hex: Substring) -> [UInt8]? {
        guard hex.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        var rest = hex
        while !rest.isEmpty {
            guard let byte = UInt8(rest.prefix(2), radix: 16) else { return nil }
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        return bytes
    }
}
