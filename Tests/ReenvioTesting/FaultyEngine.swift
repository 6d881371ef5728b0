package import ReenvioStore
import Synchronization

/// A store engine that breaks off the Nth statement from when it is armed, as a full disk or a lost connection would.
package final class FaultyEngine: StoreEngine {
    package static let failure = StoreError.unavailable("a statement was made to fail")

    /// Whether a statement with one row of parameters meets a damaged page.
    package typealias Damage = @Sendable (_ sql: String, _ values: [SQLValue]) -> Bool

    private let base: any StoreEngine
    private let remaining = Mutex<Int?>(nil)
    private let damage = Mutex<Damage?>(nil)

    package init(_ base: any StoreEngine) {
        self.base = base
    }

    /// The `n`th statement of writes from now on fails, counting from 1.
    package func fail(atStatement n: Int) {
        remaining.withLock { $0 = n }
    }

    package func disarm() {
        remaining.withLock { $0 = nil }
    }

    /// Statements of writes that meet the damage fail from now on, as those on a malformed page do; nil: repaired.
    package func damage(_ damage: Damage?) {
        self.damage.withLock { $0 = damage }
    }

    fileprivate func check(_ sql: String, _ values: [SQLValue]) throws {
        if let damage = damage.withLock({ $0 }), damage(sql, values) {
            throw StoreError.failed("database disk image is malformed")
        }
    }

    fileprivate func check(_ sql: String, _ rows: SQLRows) throws {
        guard damage.withLock({ $0 != nil }) else { return }
        for row in 0..<rows.count { try check(sql, Array(rows[row])) }
    }

    /// Whether the armed failure has happened.
    package var hasFired: Bool { remaining.withLock { $0 == 0 } }

    package func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await base.read(body)
    }

    package func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await base.lookup(body)
    }

    package func write<T: Sendable>(
        _ priority: WritePriority, _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        try await base.write(priority) { db in try body(FaultyConnection(db, self)) }
    }

    package var sharing: (any StoreSharing)? { base.sharing }
    package var files: (any StoreFiles)? { base.files }

    package var idRepairs: Int { base.idRepairs }

    package func close() throws {
        try base.close()
    }

    fileprivate func countDown() throws {
        let fires = remaining.withLock { remaining in
            guard let left = remaining, left > 0 else { return false }
            remaining = left - 1
            return left == 1
        }
        if fires { throw Self.failure }
    }
}

private final class FaultyConnection: SQLConnection {
    private let base: any SQLConnection
    private let faults: FaultyEngine

    init(_ base: any SQLConnection, _ faults: FaultyEngine) {
        self.base = base
        self.faults = faults
    }

    func run(_ sql: String, _ parameters: [SQLValue]) throws -> Int {
        try faults.countDown()
        try faults.check(sql, parameters)
        return try base.run(sql, parameters)
    }

    func query(_ sql: String, _ parameters: [SQLValue], _ row: (any SQLRow) throws -> Void) throws {
        try faults.countDown()
        try faults.check(sql, parameters)
        try base.query(sql, parameters, row)
    }

    func batch(_ sql: String, _ rows: SQLRows, _ row: (any SQLRow) throws -> Void) throws -> Int {
        try faults.countDown()
        try faults.check(sql, rows)
        return try base.batch(sql, rows, row)
    }

    func send(_ sql: String, _ rows: SQLRows) throws {
        try faults.countDown()
        try faults.check(sql, rows)
        try base.send(sql, rows)
    }

    func effects(_ sql: String, _ rows: SQLRows) throws -> [Bool] {
        try faults.countDown()
        try faults.check(sql, rows)
        return try base.effects(sql, rows)
    }

    func nextIDs(_ sequence: IDSequence, _ count: Int) throws -> [Int64] {
        try faults.countDown()
        return try base.nextIDs(sequence, count)
    }

    var dialect: Dialect { base.dialect }

    func pass(_ sequence: IDSequence, _ id: Int64) throws {
        try faults.countDown()
        try base.pass(sequence, id)
    }

    func idCeiling(_ sequence: IDSequence) throws -> Int64 {
        try faults.countDown()
        return try base.idCeiling(sequence)
    }
}
