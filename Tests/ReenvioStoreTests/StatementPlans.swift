import Foundation
import ReenvioStore
import ReenvioTesting
import Testing

/// How a statement finds rows of one table: the index, and the columns that it is asked for by their value.
struct RowAccess: Hashable, Comparable, CustomStringConvertible {
    var table: String
    /// Nil where all of the table is read.
    var index: String?
    var equal: [String]

    static func < (left: RowAccess, right: RowAccess) -> Bool { left.description < right.description }

    var description: String { "\(table) by \(index ?? "nothing")(\(equal.joined(separator: ", ")))" }
}

/// What an engine would do for a statement.
struct StatementPlan {
    var accesses: Set<RowAccess> = []
    /// Where an index has more of the columns that the statement asks for by their value than the one that is used.
    var faults: Set<String> = []
    var text = ""

    /// The largest number of columns that a row is asked for by.
    var narrowest: Int { accesses.map(\.equal.count).max() ?? 0 }
}

// MARK: - SQLite

extension StatementPlan {
    /// The plan of a writer of SQLite; `equal` are the columns that a row is found by.
    init(ofSQLite statement: StatementBook.Statement, in db: any SQLConnection) throws {
        let text =
            statement.form == .plain
            ? db.dialect.rewrite(statement.sql)
            : db.dialect.rewrite(statement.sql, rows: statement.columns, statement.form == .effects ? .effects : .plain)
        let count = statement.form == .plain ? statement.types.count : statement.columns.count
        let steps = try db.all("EXPLAIN QUERY PLAN " + text, [SQLValue](repeating: .null, count: count)) { $0.text(3) }
        self.text = steps.joined(separator: "\n")
        for step in steps { if let access = Self.access(step) { accesses.insert(access) } }
    }

    /// `SEARCH d USING COVERING INDEX name (a=? AND b>?)`, `SEARCH p USING INTEGER PRIMARY KEY (rowid=?)`, `SCAN p`.
    private static func access(_ step: String) -> RowAccess? {
        let words = step.split(separator: " ")
        guard words.count > 1, ["SEARCH", "SCAN"].contains(words[0]) else { return nil }
        let table = String(words[1])
        if ["CONSTANT", "(subquery", "(join"].contains(table) { return nil }
        let name = step.firstMatch(of: #/INDEX (\w+)/#).map { String($0.output.1) }
        let index = name ?? (step.contains("PRIMARY KEY") ? "key" : nil)
        let equal = step.matches(of: #/(\w+)=\?/#).map { String($0.output.1) }
        return RowAccess(table: table, index: index, equal: equal.sorted())
    }
}

// MARK: - PostgreSQL

/// An index that a plan might use.
struct KnownIndex {
    var table: String
    var name: String
    var columns: [String]
    var isUnique: Bool
    /// The condition that its rows meet, in parts.
    var condition: [String]

    static func all(in db: any SQLConnection) throws -> [KnownIndex] {
        try db.all(
            """
            SELECT t.relname, i.relname,
                (SELECT string_agg(a.attname, ' ' ORDER BY k.place)
                    FROM unnest(x.indkey) WITH ORDINALITY AS k(attribute, place)
                    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attribute),
                pg_get_expr(x.indpred, x.indrelid), x.indisunique
            FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
            JOIN pg_namespace n ON n.oid = t.relnamespace
            WHERE n.nspname = current_schema()
            """
        ) { row in
            KnownIndex(
                table: row.text(0), name: row.text(1), columns: row.text(2).split(separator: " ").map(String.init),
                isUnique: row.bool(4),
                condition: (row.textIfPresent(3) ?? "").filter { !"()".contains($0) }
                    .components(separatedBy: " AND ").filter { !$0.isEmpty })
        }
    }
}

extension StatementPlan {
    /// The plan that a writer of PostgreSQL would make and keep, whatever the parameters.
    init(
        ofPostgres statement: StatementBook.Statement, named name: String, _ indexes: [KnownIndex],
        in db: any SQLConnection
    ) throws {
        var types = statement.types.map { $0.map(Self.typeName) ?? "unknown" }
        var sql = db.dialect.rewrite(statement.sql)
        if statement.form != .plain {
            types = statement.columns.map { Self.typeName($0.type) + "[]" }
            sql = db.dialect.rewrite(
                statement.sql, rows: statement.columns, statement.form == .effects ? .effects : .plain)
        }
        let list = types.isEmpty ? "" : "(\(types.joined(separator: ", ")))"
        try db.run("PREPARE \(name)\(list) AS \(sql)")
        let nulls = types.isEmpty ? "" : "(\(types.map { _ in "NULL" }.joined(separator: ", ")))"
        text = try db.first("EXPLAIN (COSTS OFF, FORMAT JSON) EXECUTE \(name)\(nulls)") { $0.text(0) } ?? ""
        try db.run("DEALLOCATE \(name)")
        let plans = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]]
        let root = try #require(plans?.first?["Plan"] as? [String: Any])
        let reader = PlanReader(root, indexes)
        accesses = reader.accesses
        faults = reader.faults
    }

    private static func typeName(_ type: SQLRows.ColumnType) -> String {
        switch type {
        case .int: "bigint"
        case .text: "text"
        case .blob: "bytea"
        }
    }
}

/// Walks through a plan in JSON.
private struct PlanReader {
    private(set) var accesses: Set<RowAccess> = []
    private(set) var faults: Set<String> = []
    private let indexes: [KnownIndex]

    init(_ root: [String: Any], _ indexes: [KnownIndex]) {
        self.indexes = indexes
        walk(root, joins: "")
    }

    /// - Parameter joins: the conditions of the joins above, which a better index would have made its own.
    private mutating func walk(_ node: [String: Any], joins: String) {
        let type = node["Node Type"] as? String ?? ""
        let children = node["Plans"] as? [[String: Any]] ?? []
        let above = joins + " " + (node["Join Filter"] as? String ?? "")
        if type == "Bitmap Heap Scan" {
            for child in children { note(child, of: node, above) }
            return
        }
        if node["Relation Name"] != nil, type.contains("Scan") { note(node, of: node, above) }
        for child in children { walk(child, joins: above) }
    }

    private mutating func note(_ node: [String: Any], of table: [String: Any], _ joins: String) {
        guard let relation = table["Relation Name"] as? String else { return }
        let alias = table["Alias"] as? String ?? relation
        let name = node["Index Name"] as? String
        let equal = (node["Index Cond"] as? String ?? "").matches(of: #/\((\w+) = /#).map { String($0.output.1) }
        accesses.insert(RowAccess(table: relation, index: name, equal: Array(Set(equal)).sorted()))
        let filter = table["Filter"] as? String ?? ""
        let filtered = asked(alias, filter, qualified: false)
        let wanted = Set(equal).union(filtered).union(asked(alias, joins, qualified: true))
        let used = indexes.first { $0.name == name }
        if let used, used.isUnique, used.columns.allSatisfy(equal.contains) { return }
        // Each part of a partial index's condition narrows it down as a column does.
        let narrowed = Set(equal).count + (used?.condition.count ?? 0)
        for index in indexes where index.table == relation {
            let offered = index.columns.prefix { wanted.contains($0) }.count
            let isUsable = index.condition.allSatisfy { meets($0, filter, wanted) }
            if isUsable, offered > 0, offered + index.condition.count > narrowed {
                faults.insert("\(alias) by \(name ?? "nothing")(\(equal.joined(separator: ", "))), not \(index.name)")
            }
        }
    }

    /// Whether rows with these columns and this filter are all in an index with such a condition.
    private func meets(_ part: String, _ filter: String, _ asked: Set<String>) -> Bool {
        let ending = " IS NOT NULL"
        if part.hasSuffix(ending), asked.contains(String(part.dropLast(ending.count))) { return true }
        return !filter.contains(" OR ") && filter.filter { !"()".contains($0) }.contains(part)
    }

    /// Columns that a condition compares with a value.
    private func asked(_ alias: String, _ condition: String, qualified: Bool) -> Set<String> {
        if condition.contains(" OR ") { return [] }
        var found: Set<String> = []
        for match in condition.matches(of: #/(?:(\w+)\.)?(\w+) = /#) {
            if match.output.1.map({ $0 == alias }) ?? !qualified { found.insert(String(match.output.2)) }
        }
        for match in condition.matches(of: #/ = (\w+)\.(\w+)/#) where match.output.1 == alias {
            found.insert(String(match.output.2))
        }
        return found
    }
}
