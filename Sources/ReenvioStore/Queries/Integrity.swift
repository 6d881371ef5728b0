import ReenvioModel

/// What an engine found when it read a store whole.
package struct IntegrityFound: Sendable, Equatable {
    /// Damage, a line each; at most `Limits.damageLines`, and one that says how many more.
    package var problems: [String] = []
    /// What could not be looked at.
    package var warnings: [String] = []

    package init() {}

    fileprivate mutating func add(_ lines: [String]) {
        problems += lines
    }

    /// The maximum of lines that a report lists.
    fileprivate var bounded: IntegrityFound {
        var found = self
        guard problems.count > Limits.damageLines else { return found }
        found.problems =
            problems.prefix(Limits.damageLines) + ["and \(problems.count - Limits.damageLines) more like these"]
        return found
    }
}

extension Store {
    /// The engine's own check of tables and indexes: SQLite's `integrity_check`, PostgreSQL's `amcheck`. Reads
    /// everything. A page that cannot be read is damage, too.
    package func integrity() async -> IntegrityFound {
        do {
            let dialect = try await engine.lookup { $0.dialect }
            return try await dialect == .sqlite ? sqliteIntegrity() : postgresIntegrity()
        } catch {
            var found = IntegrityFound()
            found.add(["the store cannot be read whole: \(error)"])
            return found
        }
    }

    private func sqliteIntegrity() async throws -> IntegrityFound {
        try await engine.read { db in
            var found = IntegrityFound()
            var lines: [String] = []
            do {
                // SQLite stops at one more than is shown.
                try db.query("PRAGMA integrity_check(\(Limits.damageLines + 1))", []) { lines.append($0.text(0)) }
            } catch StoreError.failed(let why) {
                lines.append(why)
            }
            if lines != ["ok"] {
                found.add(lines.flatMap { $0.split(separator: "\n") }.map { "the file is damaged: \($0)" })
            } else {
                found.add(try SQLiteShape.differences(in: db))
            }
            return found.bounded
        }
    }

    // MARK: PostgreSQL

    private struct Relation: Sendable {
        var name: String
        var isIndex: Bool
    }

    private func postgresIntegrity() async throws -> IntegrityFound {
        let (relations, hasAmcheck, mayRun) = try await engine.read { db in
            let amcheck = try db.first(
                """
                SELECT count(*), coalesce(min(CASE WHEN has_function_privilege(p.oid, 'EXECUTE') THEN 1 ELSE 0 END), 0)
                FROM pg_extension e JOIN pg_depend d ON d.refobjid = e.oid AND d.deptype = 'e'
                JOIN pg_proc p ON p.oid = d.objid
                WHERE e.extname = 'amcheck' AND p.proname IN ('bt_index_check', 'verify_heapam')
                """
            ) { (count: $0.int(0), isAllowed: $0.bool(1)) }
            return (try Self.relations(in: db), (amcheck?.count ?? 0) > 0, amcheck?.isAllowed ?? false)
        }
        var found = IntegrityFound()
        let isBorrowed = await hasAmcheck ? false : canBorrowAmcheck()
        if hasAmcheck ? mayRun : isBorrowed {
            for relation in relations {
                found.add(try await damage(of: relation, borrowing: isBorrowed) { try Self.amcheck(relation, in: $0) })
            }
        } else {
            found.warnings.append(
                hasAmcheck
                    ? "amcheck may not be run by this user (GRANT EXECUTE on its functions); indexes were not checked"
                    : "amcheck is not installed in this database (CREATE EXTENSION amcheck); indexes were not checked")
            for relation in relations where !relation.isIndex {
                found.add(try await damage(of: relation, borrowing: false) { try Self.readWhole(relation, in: $0) })
            }
        }
        return found.bounded
    }

    /// Every table, and every B-tree that is in use, of our schema.
    private static func relations(in db: any SQLConnection) throws -> [Relation] {
        try db.all(
            """
            SELECT c.oid::regclass::text, CASE c.relkind WHEN 'i' THEN 1 ELSE 0 END FROM pg_class c
            LEFT JOIN pg_index i ON i.indexrelid = c.oid LEFT JOIN pg_am a ON a.oid = c.relam
            WHERE c.relnamespace = current_schema()::regnamespace AND c.relpersistence = 'p'
                AND (c.relkind = 'r' OR (c.relkind = 'i' AND i.indisvalid AND i.indisready AND a.amname = 'btree'))
            ORDER BY c.relkind DESC, 1
            """
        ) { Relation(name: $0.text(0), isIndex: $0.bool(1)) }
    }

    private static func amcheck(_ relation: Relation, in db: any SQLConnection) throws -> [String] {
        if relation.isIndex {
            let sql = "SELECT bt_index_check(index => $1::regclass, heapallindexed => true)"
            try db.query(sql, [.text(relation.name)]) { _ in }
            return []
        }
        return try db.all(
            "SELECT DISTINCT msg FROM verify_heapam($1::regclass) LIMIT \(Limits.damageLines)", [.text(relation.name)]
        ) { "table \(relation.name) is damaged: \($0.text(0))" }
    }

    /// Each row of a table, with what stands outside it: the server compares the pages' checksums where it has them.
    private static func readWhole(_ relation: Relation, in db: any SQLConnection) throws -> [String] {
        try db.query("SELECT sum(length(t::text)) FROM \(relation.name) t", []) { _ in }
        return []
    }

    /// One relation in one transaction: damage ends it.
    private func damage(
        of relation: Relation, borrowing isBorrowed: Bool,
        _ look: @escaping @Sendable (any SQLConnection) throws -> [String]
    ) async throws -> [String] {
        do {
            if isBorrowed { return try await withBorrowedAmcheck(look) }
            return try await engine.read { db in
                for statement in db.dialect.beforeLongRead { try db.run(statement) }
                return try look(db)
            }
        } catch StoreError.failed(let why) {
            return ["\(relation.isIndex ? "index" : "table") \(relation.name) is damaged: \(why)"]
        }
    }

    private struct RolledBack: Error {
        var found: [String]
    }

    /// Whether this user may install the extension, and the server has it.
    private func canBorrowAmcheck() async -> Bool {
        (try? await withBorrowedAmcheck { _ in [] }) != nil
    }

    /// Installs the extension for one transaction, which is rolled back: the database stays as it is.
    private func withBorrowedAmcheck(
        _ look: @escaping @Sendable (any SQLConnection) throws -> [String]
    ) async throws -> [String] {
        do {
            try await engine.write(.bulk) { db -> Void in
                for statement in db.dialect.beforeLongRead { try db.run(statement) }
                try db.run("CREATE EXTENSION amcheck")
                throw RolledBack(found: try look(db))
            }
            return []
        } catch let done as RolledBack {
            return done.found
        }
    }
}
