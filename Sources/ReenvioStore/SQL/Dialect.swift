/// The complete list of differences between the engines. Everything else is one text for both.
package enum Dialect: Sendable {
    case sqlite

    /// Rewrites a statement to the engine's own spelling: parameters, and the table of rows behind `{rows}`.
    package func rewrite(_ sql: String, rows columns: [(name: String, type: SQLRows.ColumnType)] = []) -> String {
        columns.isEmpty ? numbered(sql) : numbered(forEachRow(sql, columns))
    }

    /// SQLite numbers a `$name` by its first appearance, not by its name: `$2 ... $1` would swap silently.
    /// `?2 ... ?1` is what is meant.
    private func numbered(_ sql: String) -> String {
        String(decoding: sql.utf8.map { $0 == UInt8(ascii: "$") ? UInt8(ascii: "?") : $0 }, as: UTF8.self)
    }

    /// The statement for one row: the table of rows vanishes, and its columns are the parameters. The prepared
    /// statement then runs once per row; a table of one row would be materialised each time, at several times the cost.
    private func forEachRow(_ sql: String, _ columns: [(name: String, type: SQLRows.ColumnType)]) -> String {
        var text = withValues(sql)
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
