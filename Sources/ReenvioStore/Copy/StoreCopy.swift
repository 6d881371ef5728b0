package import ReenvioModel

/// Moves house: everything of a SQLite store into an empty one on another engine (`docs/scaling.md`). A thousand rows
/// and the place behind them are one commit, so a copy that was interrupted goes on where it was; at the end every
/// table is read again on both sides and compared. Until then nobody can open the target.
package struct StoreCopy: Sendable {
    package struct Progress: Sendable {
        package enum Stage: Sendable { case copying, comparing }

        package var stage: Stage
        package var done: Int64
        package var total: Int64
    }

    package struct Result: Sendable, Equatable {
        package var tables: Int
        package var rows: Int64
    }

    private static let mark = "copy"
    /// In the source, once the copy has ended.
    fileprivate static let sourceMark = "copied"

    private let source: Store
    private let target: Store
    private let targetName: String

    /// - Parameters:
    ///   - source: a SQLite store that no server runs on.
    ///   - target: a store with the same encryption key, opened with `allowingUnfinishedCopy`.
    ///   - targetName: what the source remembers of it; without a password.
    package init(from source: Store, to target: Store, named targetName: String) {
        self.source = source
        self.target = target
        self.targetName = targetName
    }

    /// - Throws: `StoreError.unavailable` for a target that holds something else, a source that changed since an
    ///   interrupted copy began, or a difference at the end.
    package func run(
        now: Timestamp, _ tell: @escaping @Sendable (Progress) -> Void
    ) async throws -> Result {
        let (tables, fingerprint, total) = try await source.engine.read { db in
            let foreign = try SQLiteShape.differences(in: db)
            guard foreign.isEmpty else {
                throw StoreError.unavailable("nothing is copied: " + foreign.prefix(5).joined(separator: "; "))
            }
            let tables = try CopyTable.all(in: db)
            return (tables, try Self.fingerprint(in: db), try tables.reduce(0) { $0 + (try $1.count(in: db)) })
        }
        try await begin(fingerprint)
        var done: Int64 = 0
        for table in tables {
            try await copy(table) { rows in
                done += rows
                tell(Progress(stage: .copying, done: done, total: total))
            }
        }
        try await copySequences()
        done = 0
        for table in tables {
            let ours = try await checksum(of: table, in: source.engine) { done += $0 }
            let theirs = try await checksum(of: table, in: target.engine) { _ in
                tell(Progress(stage: .comparing, done: done, total: total))
            }
            guard ours == theirs else {
                throw StoreError.unavailable(
                    "table \(table.name) differs: \(ours.rows) rows here, \(theirs.rows) there; empty the target, "
                        + "and copy again"
                )
            }
        }
        // The source first: after a kill in between neither is served, and the copy is run again.
        try await markSource(now)
        try await finish()
        return Result(tables: tables.count, rows: total)
    }

    // MARK: Beginning and end

    /// Moves with everything that a command or server writes.
    private static func fingerprint(in db: any SQLConnection) throws -> String {
        let ids = try IDSequence.allCases.map { "\(try db.idCeiling($0))" }
        let clocks = try db.first("SELECT coalesce(sum(seq), 0) FROM merchant_clocks") { $0.int(0) } ?? 0
        return (ids + ["\(clocks)"]).joined(separator: " ")
    }

    private func begin(_ fingerprint: String) async throws {
        try await target.engine.write(.bulk) { db in
            let known = try db.first("SELECT value FROM meta WHERE name = $1", [.text(Self.mark)]) { $0.text(0) }
            if let known {
                guard known == fingerprint else {
                    throw StoreError.unavailable(
                        "the source changed since the copy began; empty the target and copy again")
                }
                return
            }
            let isUsed = try db.first("SELECT 1 FROM accounts LIMIT 1") { $0.int(0) } != nil
            if isUsed { throw StoreError.unavailable("the target is not empty") }
            try db.run("INSERT INTO meta (name, value) VALUES ($1, $2)", [.text(Self.mark), .text(fingerprint)])
        }
    }

    /// From now on no server starts on the source: both would deliver.
    private func markSource(_ now: Timestamp) async throws {
        let words = "copied to \(targetName) at \(TimeText.zulu(now))"
        try await source.engine.write(.bulk) { db in
            try db.run(
                """
                INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value
                """, [.text(Self.sourceMark), .text(words)])
            return ()
        }
    }

    private func finish() async throws {
        let (hold, times) = try await source.engine.read { db in
            (
                try db.first("SELECT value FROM meta WHERE name = 'held_at'") { $0.text(0) },
                try Store.copiedTimes.map { ($0, try EngineTimes.text($0, in: db)) }
            )
        }
        try await target.engine.write(.bulk) { db in
            if let hold {
                try db.run(
                    "INSERT INTO meta (name, value) VALUES ('held_at', $1) ON CONFLICT (name) DO NOTHING",
                    [.text(hold)])
            }
            for (name, value) in times { if let value { try EngineTimes.put(name, value, in: db) } }
            try db.run("DELETE FROM meta WHERE name = $1 OR name LIKE 'copy:%'", [.text(Self.mark)])
            return ()
        }
    }

    /// Whether a store is the target of a copy that has not ended.
    static func isUnfinished(in db: any SQLConnection) throws -> Bool {
        try db.first("SELECT 1 FROM meta WHERE name = $1", [.text(mark)]) { $0.int(0) } != nil
    }

    // MARK: Tables

    private func copy(_ table: CopyTable, _ tell: (Int64) -> Void) async throws {
        let place = "copy:\(table.name)"
        let (begun, skipped) = try await target.engine.read { db in
            (
                try db.first("SELECT value FROM meta WHERE name = $1", [.text(place)]) { $0.text(0) },
                try table.count(in: db)
            )
        }
        tell(skipped)
        var position = begun.flatMap { CopyPosition.values($0) }
        while true {
            let from = position
            let page = try await source.engine.read { db in
                try table.page(after: from, limit: Limits.rowsPerCopy, in: db)
            }
            if page.isEmpty { return }
            let next = table.position(of: page[page.count - 1])
            try await target.engine.write(.bulk) { db in
                try table.insert(page, in: db)
                try db.run(
                    """
                    INSERT INTO meta (name, value) VALUES ($1, $2)
                    ON CONFLICT (name) DO UPDATE SET value = excluded.value
                    """, [.text(place), .text(CopyPosition.text(next))])
                return ()
            }
            position = next
            tell(Int64(page.count))
        }
    }

    private func copySequences() async throws {
        let ceilings = try await source.engine.read { db in
            try IDSequence.allCases.map { ($0, try db.idCeiling($0)) }
        }
        try await target.engine.write(.bulk) { db in
            for (sequence, ceiling) in ceilings where ceiling > 1 { try db.pass(sequence, ceiling - 1) }
        }
    }

    private func checksum(
        of table: CopyTable, in engine: any StoreEngine, _ tell: (Int64) -> Void
    ) async throws -> CopyChecksum {
        var checksum = CopyChecksum()
        var position: [SQLValue]?
        while true {
            let from = position
            let page = try await engine.read { db in
                try table.page(after: from, limit: Limits.rowsPerCopy, in: db)
            }
            if page.isEmpty { return checksum }
            checksum.add(page)
            position = table.position(of: page[page.count - 1])
            tell(Int64(page.count))
        }
    }
}

extension Store {
    /// Where and when this store was copied, in words; nil where it was not, or that was undone.
    package func copiedTo() async throws -> String? {
        try await engine.lookup { db in
            try db.first("SELECT value FROM meta WHERE name = $1", [.text(StoreCopy.sourceMark)]) { $0.text(0) }
        }
    }

    /// Lets servers start on a copied store again; whether it was marked.
    package func forgetCopy() async throws -> Bool {
        try await engine.write(.intake) { db in
            try db.run("DELETE FROM meta WHERE name = $1", [.text(StoreCopy.sourceMark)]) > 0
        }
    }
}
