import GRDB
import ReenvioModel

/// The tables, columns and indexes of a SQLite store, and whatever else its file declares: a line for each, such as
/// `column payouts.id INTEGER`. A file that somebody prepared may declare more, which would run or be copied with the
/// rest.
enum SQLiteShape {
    /// What sets the file apart from a store of its version, a line each; empty where it is exactly ours. Of a version
    /// that this binary does not know only what no version has is named: triggers and views.
    static func differences(in db: any SQLConnection) throws -> [String] {
        let found = try read(db)
        let version = try db.first("SELECT coalesce(max(version), 0) FROM migrations") { $0.int(0) } ?? 0
        guard version <= Schema.latest else {
            return found.filter { $0.hasPrefix("trigger ") || $0.hasPrefix("view ") }.sorted().map(unknown)
        }
        let declared = try declared(by: version)
        return found.subtracting(declared).sorted().map(unknown)
            + declared.subtracting(found).sorted().map { "the file lacks the \($0)" }
    }

    private static func unknown(_ line: String) -> String {
        "the file holds the \(line), which no store of reenvio has"
    }

    /// What the migrations up to `version` make of an empty file.
    private static func declared(by version: Int64) throws -> Set<String> {
        let queue = try DatabaseQueue()
        defer { try? queue.close() }
        return try queue.write { database in
            let db = SQLiteConnection(database)
            _ = try Schema.migrate(db, upTo: version, now: Timestamp(seconds: 0))
            return try read(db)
        }
    }

    private static func read(_ db: any SQLConnection) throws -> Set<String> {
        // Names of SQLite's own begin with `sqlite_`, and no others may.
        let objects = try db.all(
            "SELECT type, name, tbl_name FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        ) { (type: $0.text(0), name: $0.text(1), table: $0.text(2)) }
        var lines = Set(
            objects.map { $0.type == "table" ? "table \($0.name)" : "\($0.type) \($0.name) of \($0.table)" })
        for object in objects where object.type == "table" {
            // The last number is above 0 for what is computed or hidden.
            try db.query(
                "SELECT name, type, pk, hidden FROM pragma_table_xinfo($1)", [.text(object.name)]
            ) { row in
                let marks = (row.int(2) > 0 ? " key \(row.int(2))" : "") + (row.int(3) > 0 ? " computed" : "")
                lines.insert("column \(object.name).\(row.text(0)) \(row.text(1))\(marks)")
            }
        }
        return lines
    }
}
