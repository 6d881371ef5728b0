package import ReenvioModel

/// A numbered step of the schema. Steps are only ever added.
package struct Migration: Sendable {
    package var version: Int64
    package var name: String
    package var statements: [String]
    /// The version that a binary must know to work on a store that this step was taken on. A step that only adds leaves
    /// it where it was, so that nodes can be replaced one by one.
    package var needs: Int64

    /// - Parameter needs: left out where older binaries cannot work beside it.
    package init(version: Int64, name: String, statements: [String], needs: Int64? = nil) {
        self.version = version
        self.name = name
        self.statements = statements
        self.needs = needs ?? version
    }
}

package enum Schema {
    package static let migrations = [
        Migration(
            version: 1, name: "first schema",
            statements: Tables.accounts + Tables.payouts + Tables.changes + Tables.cashIn + Tables.deliveries
                + Tables.resends + Tables.sequences
        ),
        Migration(version: 2, name: "invalid data by invoice", statements: Tables.invalidDataInvoices),
        Migration(
            version: 3, name: "resends paced, tried and explained",
            statements: Tables.pacedResends + Tables.countedWindows),
        Migration(version: 4, name: "dashboard", statements: Tables.dashboard),
        Migration(version: 5, name: "histories in pieces", statements: Tables.pieces, needs: 4),
        Migration(
            version: 6, name: "operator notices and traces", statements: Tables.notices + Tables.traces, needs: 4),
        Migration(version: 7, name: "lists of jobs and logs", statements: Tables.jobLists, needs: 4),
        Migration(version: 8, name: "probes by URL", statements: Tables.probes, needs: 4),
        Migration(version: 9, name: "where redirects point", statements: Tables.redirects, needs: 4),
        Migration(
            version: 10, name: "one registration per URL and type", statements: Tables.registrationsOnce, needs: 4),
        Migration(version: 11, name: "resends over ranges and merchants", statements: Tables.resendBatches),
        // An older node would neither name failed items nor sweep what a canceled log left behind.
        Migration(version: 12, name: "failed items of resends", statements: Tables.failedItems),
        Migration(version: 15, name: "what is set aside", statements: Tables.setAside, needs: 12),
        // An older node would take an operator key with scopes for one that may do everything.
        Migration(version: 16, name: "keys of operators have scopes", statements: Tables.scopedKeys),
    ]

    package static var latest: Int64 { migrations.map(\.version).max() ?? 0 }

    /// Brings the store to the latest version in one transaction and returns the versions applied now.
    /// - Throws: `StoreError.newer` when the store is so far ahead of this binary that it cannot work on it.
    /// - Parameter upTo: the last version to apply.
    static func migrate(_ db: any SQLConnection, upTo last: Int64 = latest, now: Timestamp) throws -> [Int64] {
        for statement in db.dialect.beforeMigration { try db.run(statement) }
        try db.run(
            """
            CREATE TABLE IF NOT EXISTS migrations (
                version INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT
            """
        )
        let found = try db.first("SELECT coalesce(max(version), 0) FROM migrations") { $0.int(0) } ?? 0
        if found > latest {
            // Somebody newer was here. Whether that only added, it has left in the store.
            let needed = try db.first("SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'schema_needs'") {
                $0.int(0)
            }
            guard let needed, needed <= latest else { throw StoreError.newer(found: found, known: latest) }
            return []
        }
        let missing = migrations.filter { found < $0.version && $0.version <= last }
        for migration in missing {
            for statement in migration.statements.flatMap(db.dialect.schema) { try db.run(statement) }
            try db.run(
                "INSERT INTO migrations (version, name, applied_at) VALUES ($1, $2, $3)",
                [.int(migration.version), .text(migration.name), .time(now)]
            )
        }
        if !missing.isEmpty, let needs = migrations.filter({ $0.version <= last }).map(\.needs).max() {
            try db.run(
                """
                INSERT INTO meta (name, value) VALUES ('schema_needs', $1)
                ON CONFLICT (name) DO UPDATE SET value = excluded.value
                """, [.text(String(needs))])
        }
        return missing.map(\.version)
    }
}
