import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// No writer's plan depends on when it was made: a connection keeps those that it made while a table was empty.
struct PlanTests {
    /// Statements that read a whole table, and why they may.
    private static let wholeTables = [
        "UPDATE receivers SET paused_at = $1, health_since = $2 WHERE paused_at IS NULL",  // A hold pauses all.
        "UPDATE notices SET due_at = $1",  // All of them wait, or none does.
        "DELETE FROM set_aside WHERE until_at < $1",  // There are a few.
    ]
    /// What stands beside transactions and is run by readers, which plan anew for each value.
    private static let readers = [
        "SELECT r.id, r.public_id FROM resends r JOIN resend_batches b",
        "SELECT count(*) FROM deliveries WHERE merchant_id = $1 AND queue_id = $2 AND payout_id IS NOT NULL",
        "SELECT merchant_id, object_id, sealed, key_id FROM parties WHERE kind = 'qr_code'",
        "SELECT s.merchant_id, s.object_id, p.invoice, s.sealed, s.key_id FROM parties s",
        // The log of one payout, which a writer reads for an operator.
        "WITH RECURSIVE history(seq)", "WITH RECURSIVE open(id)",
    ]
    /// Found on SQLite by fewer columns: all of the key but the last, which is random and tells repeats apart; an id
    /// alone.
    private static let almostWhole = [
        "DELETE FROM attempts WHERE (merchant_id, delivery_id, number, attempt_id) IN (",
        "INSERT INTO user_policies (user_id, merchant_id) SELECT $1, id FROM merchants WHERE id = $2",
    ]

    @Test("a writer finds rows by the same index whether there are any or many, and by all that it asks for")
    func plans() async throws {
        let statements = try await Self.statements()
        var plans: [TestEngine: [(empty: StatementPlan, large: StatementPlan)]] = [:]
        for kind in TestEngine.allCases {
            let empty = try await Self.plans(of: statements, on: kind, isLarge: false)
            let large = try await Self.plans(of: statements, on: kind, isLarge: true)
            plans[kind] = zip(empty, large).map { ($0, $1) }
        }
        let (sqlite, postgres) = (try #require(plans[.sqlite]), try #require(plans[.postgres]))
        for (index, statement) in statements.enumerated() {
            let sql = WrittenStatements.words(statement.sql)
            for (empty, large) in [sqlite[index], postgres[index]] {
                #expect(empty.accesses == large.accesses, "\(sql)")
                #expect(empty.faults.union(large.faults).isEmpty, "\(sql)")
                let whole = large.accesses.filter { $0.index == nil && !sql.contains(") AS \($0.table)") }
                let isMeant = sql.contains(" LIMIT ") || Self.wholeTables.contains(sql)
                #expect(isMeant || whole.isEmpty, "\(sql)")
            }
            let (found, asked) = (sqlite[index].large, postgres[index].large)
            let isEnough = found.narrowest >= asked.narrowest || Self.almostWhole.contains(where: sql.hasPrefix)
            #expect(isEnough, "\(sql): \(found.text)")
        }
    }

    /// What writers run, each once: as it was run where it is put together of parts, and otherwise as it is written.
    private static func statements() async throws -> [StatementBook.Statement] {
        let book = StatementBook()
        try await StatementBook.$current.withValue(book) {
            for story in WriterStories.all { try await story(.sqlite) }
        }
        let written = try WrittenStatements.all(in: "Transactions")
        let known = try (written + WrittenStatements.all(in: "Queries")).filter { !$0.isBeginning }
        // Tests run statements of their own.
        let run = book.all.filter { statement in
            let words = WrittenStatements.words(statement.sql)
            return statement.isWriter && !readers.contains(where: words.hasPrefix)
                && known.contains { $0.isPart(of: words) }
        }
        let texts = book.all.map { WrittenStatements.words($0.sql) }
        var statements = run
        for one in written where !one.isBeginning && !texts.contains(where: one.isPart) {
            guard let whole = one.whole else {
                Issue.record("no story runs \(one)")
                continue
            }
            if !readers.contains(where: whole.sql.hasPrefix) { statements.append(whole) }
        }
        #expect(statements.count > 200 && run.count > 150)
        return statements
    }

    private static func plans(
        of statements: [StatementBook.Statement], on kind: TestEngine, isLarge: Bool
    ) async throws -> [StatementPlan] {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [])
        if isLarge { try await store.engine.write(.bulk) { db in try SkewedRows.fill(db) } }
        return try await store.engine.write(.bulk) { db in
            let indexes = kind == .postgres ? try KnownIndex.all(in: db) : []
            return try statements.enumerated().map { number, statement in
                do {
                    return switch kind {
                    case .sqlite: try StatementPlan(ofSQLite: statement, in: db)
                    case .postgres: try StatementPlan(ofPostgres: statement, named: "plan_\(number)", indexes, in: db)
                    }
                } catch {
                    throw StoreError.failed("\(error): \(statement.sql)")
                }
            }
        }
    }
}
