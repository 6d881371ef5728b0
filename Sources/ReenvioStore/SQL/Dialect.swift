/// The complete list of differences between the engines. Everything else is one text for both.
package enum Dialect: Sendable {
    case sqlite

    /// Rewrites a statement to the engine's own spelling: parameters, and the table of rows behind `{rows}`.
    package func rewrite(_ sql: String, rows columns: [(name: String, type: SQLRows.ColumnType)] = []) -> String {
        let expanded = columns.isEmpty ? sql : sql.replacing("{rows}", with: rowsTable(columns))
        return numbered(expanded)
    }

    /// SQLite numbers a `$name` by its first appearance, not by its name: `$2 ... $1` would swap silently. `?2 ... ?1`
    /// is what is meant.
    private func numbered(_ sql: String) -> String {
        String(decoding: sql.utf8.map { $0 == UInt8(ascii: "$") ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
    }

    /// A table of one row; the prepared statement runs once per row of parameters.
    private func rowsTable(_ columns: [(name: String, type: SQLRows.ColumnType)]) -> String {
        let list = columns.enumerated().map { "$\($0.offset + 1) AS \($0.element.name)" }
        return "(SELECT \(list.joined(separator: ", "))) AS rows"
    }
}
