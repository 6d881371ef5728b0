import ReenvioStore

/// Rows for every table, so that nearly all are one merchant's and the rest is shared by fifty small ones.
enum SkewedRows {
    private static let rows = 20_000
    /// Columns with few values.
    private static let few: Set<String> = [
        "account_id", "batch_id", "category", "currency", "key_id", "kind", "lane", "mirror_id", "queue_id",
        "receiver_id", "registration_id", "resend_id", "state", "status_id", "type", "user_id", "log_status", "reason",
        "method", "path",
    ]
    /// Flags.
    private static let flags: Set<String> = [
        "parked", "holds_invoice", "is_moving", "sweep_pending", "is_known", "all_merchants", "account_mismatch",
    ]
    /// Left alone: what the store says of itself.
    private static let own: Set<String> = ["migrations", "meta", "id_sequences"]

    struct Column {
        var table: String
        var name: String
        var type: String
        var isNullable: Bool
    }

    static func fill(_ db: any SQLConnection) throws {
        var tables: [String: [Column]] = [:]
        for column in try columns(db) where !own.contains(column.table) {
            tables[column.table, default: []].append(column)
        }
        for (table, columns) in tables.sorted(by: { $0.key < $1.key }) {
            let names = columns.map(\.name).joined(separator: ", ")
            let values = columns.map { value($0, db.dialect) }.joined(separator: ", ")
            try db.run(
                """
                WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < \(rows))
                INSERT INTO \(table) (\(names)) SELECT \(values) FROM numbers WHERE true ON CONFLICT DO NOTHING
                """)
        }
        if db.dialect == .postgres { try db.run("ANALYZE") }
    }

    private static func columns(_ db: any SQLConnection) throws -> [Column] {
        let query =
            switch db.dialect {
            case .sqlite:
                """
                SELECT m.name, c.name, c.type, c."notnull" = 0 AND c.pk = 0 FROM sqlite_master m
                JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'
                """
            case .postgres:
                """
                SELECT c.relname, a.attname, CASE a.atttypid WHEN 20 THEN 'INTEGER' WHEN 25 THEN 'TEXT' ELSE 'BLOB' END,
                    CASE WHEN a.attnotnull THEN 0 ELSE 1 END
                FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
                    AND a.attnum > 0 AND NOT a.attisdropped
                """
            }
        return try db.all(query) {
            Column(table: $0.text(0), name: $0.text(1), type: $0.text(2), isNullable: $0.bool(3))
        }
    }

    private static func value(_ column: Column, _ dialect: Dialect) -> String {
        let number =
            if column.name == "merchant_id" {
                "CASE WHEN n % 100 < 95 THEN 303 ELSE 1000 + n % 50 END"
            } else if flags.contains(column.name) {
                "CASE WHEN n % 100 = 0 THEN 0 ELSE 1 END"
            } else if few.contains(column.name) {
                "n % 7"
            } else {
                "n"
            }
        let value =
            switch column.type {
            case "INTEGER": number
            case "TEXT": "'t' || (\(number))"
            default:
                dialect == .sqlite ? "CAST('b' || (\(number)) AS BLOB)" : "convert_to('b' || (\(number)), 'UTF8')"
            }
        return column.isNullable ? "CASE WHEN n % 3 = 0 THEN NULL ELSE \(value) END" : value
    }
}
