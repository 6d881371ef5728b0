package import ReenvioStore
import Synchronization

/// A SQLite engine that notes how each query would find its rows, as `EXPLAIN QUERY PLAN` tells it.
package final class PlanningEngine: StoreEngine {
    private let base: any StoreEngine
    private let steps = Mutex<Set<String>>([])

    package init(_ base: any StoreEngine) {
        self.base = base
    }

    /// Steps that look at every row that a merchant has in a table; what it has few of may be read so.
    package var wholeMerchants: [String] {
        let few = ["SEARCH g ", "SEARCH registrations ", "SEARCH r USING INDEX resends_of_merchant "]
        return steps.withLock { steps in
            steps.filter { step in
                step.contains(" (merchant_id=?)\n") && !step.contains("FROM secrets s")
                    // An index of the erased alone.
                    && !step.contains("INDEX payouts_erased ")
                    // The last ones by their key.
                    && !step.contains("duration_ms FROM attempts WHERE")
                    && !few.contains { step.hasPrefix($0) }
            }.sorted()
        }
    }

    /// The steps of queries with these words in their text.
    package func steps(of words: String) -> [String] {
        steps.withLock { steps in
            steps.compactMap { step in
                let parts = step.split(separator: "\n", maxSplits: 1)
                return parts.count == 2 && parts[1].contains(words) ? String(parts[0]) : nil
            }.sorted()
        }
    }

    package var count: Int { steps.withLock(\.count) }

    package func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await base.read { db in try body(PlanningConnection(db, self)) }
    }

    package func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await base.lookup(body)
    }

    package func write<T: Sendable>(
        _ priority: WritePriority, _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        try await base.write(priority) { db in try body(PlanningConnection(db, self)) }
    }

    package var sharing: (any StoreSharing)? { base.sharing }

    package var idRepairs: Int { base.idRepairs }

    package func close() throws {
        try base.close()
    }

    fileprivate func note(_ step: String, of sql: String) {
        steps.withLock { _ = $0.insert("\(step)\n\(sql)") }
    }
}

private final class PlanningConnection: SQLConnection {
    private static let explain = "EXPLAIN QUERY PLAN "

    private let base: any SQLConnection
    private let plans: PlanningEngine

    init(_ base: any SQLConnection, _ plans: PlanningEngine) {
        self.base = base
        self.plans = plans
    }

    func run(_ sql: String, _ parameters: [SQLValue]) throws -> Int {
        try base.run(sql, parameters)
    }

    func query(_ sql: String, _ parameters: [SQLValue], _ row: (any SQLRow) throws -> Void) throws {
        if sql.hasPrefix("SELECT") || sql.hasPrefix("WITH") {
            try base.query(Self.explain + sql, parameters) { plans.note($0.text(3), of: sql) }
        }
        try base.query(sql, parameters, row)
    }

    func batch(_ sql: String, _ rows: SQLRows, _ row: (any SQLRow) throws -> Void) throws -> Int {
        if sql.hasPrefix("SELECT") {
            _ = try base.batch(Self.explain + sql, rows) { plans.note($0.text(3), of: sql) }
        }
        return try base.batch(sql, rows, row)
    }

    func send(_ sql: String, _ rows: SQLRows) throws {
        try base.send(sql, rows)
    }

    func effects(_ sql: String, _ rows: SQLRows) throws -> [Bool] {
        try base.effects(sql, rows)
    }

    func nextIDs(_ sequence: IDSequence, _ count: Int) throws -> [Int64] {
        try base.nextIDs(sequence, count)
    }

    var dialect: Dialect { base.dialect }

    func pass(_ sequence: IDSequence, _ id: Int64) throws {
        try base.pass(sequence, id)
    }

    func idCeiling(_ sequence: IDSequence) throws -> Int64 {
        try base.idCeiling(sequence)
    }
}
