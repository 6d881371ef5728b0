package import ReenvioStore

/// How PostgreSQL would find the rows of statements that are planned once, whatever their parameters.
package enum PostgresPlanReader {
    /// A step that reads a table: through an index by these columns, or without one.
    package struct Scan: Hashable, CustomStringConvertible {
        package var table: String
        package var index: String?
        /// Those of the index that it is searched by.
        package var columns: [String]

        package var description: String { "\(table) by \(index ?? "nothing") (\(columns.joined(separator: ", ")))" }
    }

    /// The scans of each statement, by its text, on a connection that keeps plans.
    package static func scans(
        of statements: [(text: String, types: [String])], in db: any SQLConnection
    ) throws -> [String: Set<Scan>] {
        var found: [String: Set<Scan>] = [:]
        for (text, types) in statements {
            let count = (1...99).last { text.contains("$\($0)") } ?? 0
            let named = types.isEmpty ? "" : "(\(types.joined(separator: ", ")))"
            try db.run("PREPARE planned\(named) AS \(text)")
            let nulls = count == 0 ? "" : "(\(Array(repeating: "NULL", count: count).joined(separator: ", ")))"
            // A text of its own each time: one that is prepared stays what it was.
            let explain = "EXPLAIN (COSTS OFF) EXECUTE planned\(nulls) -- \(found.count)"
            var lines: [String] = []
            try db.query(explain, []) { lines.append($0.text(0)) }
            try db.run("DEALLOCATE planned")
            found[text] = scans(lines)
        }
        return found
    }

    private static func scans(_ lines: [String]) -> Set<Scan> {
        var scans: [Scan] = []
        for line in lines {
            if let match = line.firstMatch(of: #/Index (?:Only )?Scan(?: Backward)? using (\S+) on (\S+)/#) {
                scans.append(Scan(table: String(match.2), index: String(match.1), columns: []))
            } else if let match = line.firstMatch(of: #/Bitmap Index Scan on (\S+)/#) {
                scans.append(Scan(table: "", index: String(match.1), columns: []))
            } else if let match = line.firstMatch(of: #/Seq Scan on (\S+)/#) {
                scans.append(Scan(table: String(match.1), index: nil, columns: []))
            } else if line.contains("Index Cond:"), !scans.isEmpty {
                let columns = line.matches(of: #/\((\w+) (?:=|<|>|IS)/#).map { String($0.1) }
                scans[scans.count - 1].columns = columns.sorted()
            }
        }
        return Set(scans)
    }
}
