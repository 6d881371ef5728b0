import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// A writer keeps its plans, but not from when the tables were small.
struct PlanAgeTests {
    @Test("a plan made for one row is made again for many", .timeLimit(.minutes(2)))
    func growing() async throws {
        let engine = try PostgresEngine(try TestPostgres.shared.newSchema(), readers: 1, writers: 1)
        let store = try await Store.open(engine: engine, sealing: try Fixtures.sealingKey, now: Fixtures.start).store
        let look: @Sendable (any SQLConnection) throws -> Void = { db in
            var rows = SQLRows([("id", .int)])
            rows.append([.int(303)])
            _ = try db.batch("SELECT c.seq FROM merchant_clocks c, {rows} WHERE c.merchant_id = rows.id", rows) { _ in }
        }
        try await store.engine.write(.intake) { db in
            try db.run("INSERT INTO merchant_clocks (merchant_id, seq) VALUES (303, 1)")
            try db.run("ANALYZE merchant_clocks")
            return ()
        }
        try await store.engine.write(.intake, look)
        #expect(try await Self.plan(store).contains("Join Filter"), "the plan is right from the beginning")
        try await store.engine.write(.intake) { db in
            try db.run(
                "INSERT INTO merchant_clocks (merchant_id, seq) SELECT n, 1 FROM generate_series(1000, 90000) AS n")
            return ()
        }
        for _ in 0..<16 { try await store.engine.write(.intake, look) }
        let plan = try await Self.plan(store)
        #expect(plan.contains("Index Cond: (merchant_id = rows.id)"), "\(plan)")
    }

    /// The plan that the writer's connection has for the look at clocks.
    private static func plan(_ store: Store) async throws -> String {
        try await store.engine.write(.intake) { db in
            let found = try db.first(
                """
                SELECT name FROM pg_prepared_statements
                WHERE statement LIKE 'SELECT c.seq FROM merchant_clocks c%'
                """
            ) { $0.text(0) }
            let name = try #require(found)
            return try db.all("EXPLAIN (COSTS OFF) EXECUTE \(name)(NULL)") { $0.text(0) }.joined(separator: "\n")
        }
    }
}
