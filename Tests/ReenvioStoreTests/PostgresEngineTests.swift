import Foundation
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// What only a server that several nodes share can do wrong.
struct PostgresEngineTests {
    private static func engine() throws -> (engine: PostgresEngine, address: PostgresAddress) {
        let address = try TestPostgres.shared.newSchema()
        return (try PostgresEngine(address, readers: 1, writers: 2), address)
    }

    private static func scratch(_ engine: PostgresEngine) async throws {
        try await engine.write(.intake) { db in
            try db.run("CREATE TABLE scratch (id INTEGER PRIMARY KEY, value INTEGER NOT NULL)")
            try db.run("INSERT INTO scratch VALUES (1, 0), (2, 0)")
            return ()
        }
    }

    @Test("two transactions that lock each other out both take place, one of them again")
    func deadlock() async throws {
        let (engine, _) = try Self.engine()
        try await Self.scratch(engine)
        let meeting = Meeting(of: 2)
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for (first, second) in [(Int64(1), Int64(2)), (2, 1)] {
                tasks.addTask {
                    try await engine.write(.intake) { db in
                        try db.run("UPDATE scratch SET value = value + 1 WHERE id = $1", [.int(first)])
                        meeting.arrive()
                        try db.run("UPDATE scratch SET value = value + 10 WHERE id = $1", [.int(second)])
                        return ()
                    }
                }
            }
            try await tasks.waitForAll()
        }
        let values = try await engine.read { db in
            try db.all("SELECT value FROM scratch ORDER BY id") { $0.int(0) }
        }
        #expect(values == [11, 11])
        #expect(meeting.arrivals >= 3, "each took place, one of them again; how often is the server's to say")
    }

    @Test("a connection that is cut while idle, or in the middle, costs at most the transaction it was in")
    func lostConnections() async throws {
        let (engine, _) = try Self.engine()
        try await Self.scratch(engine)
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1"
        let (reader, killer) = (try await Self.backend(engine), try Self.engine().engine)
        _ = try await killer.write(.intake) { try $0.query(cut, [.int(reader)]) { _ in } }
        #expect(try await Self.backend(engine) != reader, "a read goes on over a new connection")
        await #expect {
            _ = try await engine.write(.intake) { db in
                try db.run("UPDATE scratch SET value = 7")
                let own = try db.first("SELECT pg_backend_pid()") { $0.int(0) } ?? 0
                try db.query(cut, [.int(own)]) { _ in }
            }
        } throws: { error in
            if case .unavailable = error as? StoreError { true } else { false }
        }
        let sum = try await engine.write(.intake) { db in
            try db.run("UPDATE scratch SET value = value + 1")
            return try db.first("SELECT sum(value) FROM scratch") { $0.int(0) }
        }
        #expect(sum == 2, "the next transaction finds a new connection, and nothing of the one that was cut")
    }

    @Test("a transaction that only sends takes place once, too, over a connection that was cut while idle")
    func sendingOverALostConnection() async throws {
        let engine = try PostgresEngine(try TestPostgres.shared.newSchema(), readers: 1, writers: 1)
        try await Self.scratch(engine)
        let writer = try await engine.write(.intake) { db in try db.first("SELECT pg_backend_pid()") { $0.int(0) } ?? 0
        }
        try await engine.read { db in
            try db.query("SELECT pg_terminate_backend(CAST($1 AS INTEGER))", [.int(writer)]) { _ in }
        }
        try await engine.write(.intake) { db in
            var rows = SQLRows([("more", .int)])
            rows.append([.int(3)])
            try db.send("UPDATE scratch SET value = value + rows.more FROM {rows}", rows)
        }
        let values = try await engine.read { db in try db.all("SELECT value FROM scratch") { $0.int(0) } }
        #expect(values == [3, 3])
    }

    private static func backend(_ engine: PostgresEngine) async throws -> Int64 {
        try await engine.lookup { db in try db.first("SELECT pg_backend_pid()") { $0.int(0) } ?? 0 }
    }

    @Test("a failure that the closure hides rolls the transaction back, and says so")
    func overlookedFailure() async throws {
        let (engine, _) = try Self.engine()
        try await Self.scratch(engine)
        await #expect(throws: StoreError.self) {
            try await engine.write(.intake) { db in
                try db.run("UPDATE scratch SET value = 5")
                _ = try? db.run("INSERT INTO scratch VALUES (1, 1)")
            }
        }
        let sum = try await engine.read { db in try db.first("SELECT sum(value) FROM scratch") { $0.int(0) } }
        #expect(sum == 0)
    }

    @Test("a failure names its SQLSTATE, and not the values")
    func failures() async throws {
        let (engine, _) = try Self.engine()
        try await Self.scratch(engine)
        await #expect {
            _ = try await engine.write(.intake) { try $0.run("INSERT INTO scratch VALUES ($1, 1)", [.int(2)]) }
        } throws: { error in
            guard case .failed(let why) = error as? StoreError else { return false }
            return why.contains("[23505]") && !why.contains("(2)")
        }
    }

    @Test("a read sees one moment, whatever is committed meanwhile, and cannot write")
    func snapshots() async throws {
        let (engine, _) = try Self.engine()
        try await Self.scratch(engine)
        let (before, after) = (Meeting(of: 2), Meeting(of: 2))
        async let seen = engine.read { db in
            let first = try db.first("SELECT sum(value) FROM scratch") { $0.int(0) }
            before.arrive()
            after.arrive()
            return (first, try db.first("SELECT sum(value) FROM scratch") { $0.int(0) })
        }
        try await engine.write(.intake) { db in
            before.arrive()
            try db.run("UPDATE scratch SET value = 9")
        }
        _ = try await engine.write(.intake) { _ in after.arrive() }
        #expect(try await seen == (0, 0))
        await #expect(throws: StoreError.self) { try await engine.read { try $0.run("UPDATE scratch SET value = 1") } }
    }

    @Test("sums, small numbers, conditions and nulls of the server are numbers")
    func numbers() async throws {
        let (engine, _) = try Self.engine()
        let values = try await engine.read { db in
            try db.first(
                """
                SELECT sum(n) FROM (VALUES (CAST(9000000000000000000 AS BIGINT)), (-9000000000000000000),
                    (123456789012), (0)) AS v(n)
                """
            ) { $0.int(0) }
        }
        #expect(values == 123_456_789_012)
        let others = try await engine.read { db in
            try db.first(
                """
                SELECT CAST(-50000 AS NUMERIC), CAST(0 AS NUMERIC), CAST(10000 AS NUMERIC), CAST(-7 AS SMALLINT),
                    CAST(-8 AS INT), 1 = 1, 1 = 2, NULL, CAST(99990001 AS NUMERIC), CAST(2.5 AS NUMERIC)
                """
            ) { row in (0..<10).map { row.int($0) } }
        }
        #expect(others == [-50_000, 0, 10_000, -7, -8, 1, 0, 0, 99_990_001, 2])
    }

    @Test("a text with U+0000 is looked for like any other, and not found")
    func zeroByte() async throws {
        let (engine, _) = try Self.engine()
        let isEqual = try await engine.read { db in
            try db.first("SELECT CAST($1 AS TEXT) = CAST($2 AS TEXT)", [.text("a\0b"), .text("ab")]) { $0.bool(0) }
        }
        #expect(isEqual == false)
    }

    @Test("commits wait for the disk, those of claims alone do not")
    func durability() async throws {
        let (engine, _) = try Self.engine()
        let settings = try await [WritePriority.intake, .outcomes, .claims, .chunks].asyncMap { priority in
            try await engine.write(priority) { db in
                try db.first("SELECT current_setting('synchronous_commit')") { $0.text(0) }
            }
        }
        #expect(settings == ["on", "on", "off", "on"])
    }

    @Test("the first connection to a server that is back ends the pause of every other thread")
    func sharedRecovery() async throws {
        let server = try TestPostgres.shared
        let folder = try ScratchFolder()
        let way = "\(folder.path)/\(TestPostgres.socketName)"
        try FileManager.default.createSymbolicLink(atPath: way, withDestinationPath: server.socket)
        let address = try server.newSchema(host: folder.path)
        let engine = try PostgresEngine(address, readers: 1, writers: 1, firstPause: .seconds(3_600))
        try FileManager.default.removeItem(atPath: way)
        let write: @Sendable () async throws -> Int64? = {
            try await engine.write(.intake) { try $0.first("SELECT 1") { $0.int(0) } }
        }
        await #expect(throws: StoreError.self) { try await write() }
        try FileManager.default.createSymbolicLink(atPath: way, withDestinationPath: server.socket)
        await #expect(throws: StoreError.self, "the thread does not try again during its pause") { try await write() }
        _ = try await Self.backend(engine)
        #expect(try await write() == 1)
    }

    @Test("a schema of somebody else is refused and not touched")
    func foreignSchema() async throws {
        let (engine, address) = try Self.engine()
        try await Self.scratch(engine)
        #expect(throws: StoreError.notOurs("postgres")) { try PostgresEngine(address) }
    }

    @Test("an address that is none, and one where nobody listens, are named without the password")
    func badAddresses() throws {
        #expect(throws: StoreError.unavailable("the address of the store is no PostgreSQL URI")) {
            try PostgresAddress("postgres://user:s3cret@[::1/db")
        }
        let nobody = try PostgresAddress("postgresql://user:s3cret@127.0.0.1:1/db")
        do {
            _ = try PostgresEngine(nobody)
            Issue.record("connected to nobody")
        } catch StoreError.unavailable(let why) {
            #expect(why.contains("127.0.0.1") && !why.contains("s3cret"))
        }
    }

    @Test("nodes that start together on an empty database migrate it once, and make one token key")
    func startingTogether() async throws {
        let address = try TestPostgres.shared.newSchema()
        let applied = try await withThrowingTaskGroup(of: Int.self) { tasks in
            for node in 0..<4 {
                tasks.addTask {
                    let engine = try PostgresEngine(address, readers: 1, writers: 1)
                    let (store, applied) = try await Store.open(
                        engine: engine, sealing: try Fixtures.sealingKey, now: Fixtures.start)
                    let key = TokenKey(id: "key-\(node)", secret: Array(repeating: UInt8(node), count: 32))
                    try await store.ensureTokenKey(key, now: Fixtures.start)
                    #expect(try await store.tokenKeys().count == 1)
                    return applied.count
                }
            }
            return try await tasks.reduce(into: [Int]()) { $0.append($1) }
        }
        #expect(applied.sorted() == [0, 0, 0, Schema.migrations.count])
    }

    @Test("a payout is not given an id that an import brought along")
    func importedIDs() async throws {
        let store = try await Fixtures.store(.postgres, in: try ScratchFolder())
        _ = try await store.createPayouts(1)
        // As if the import had come between the drawing of an id and its use.
        _ = try await store.engine.write(.intake) { db in
            try db.run(
                """
                INSERT INTO payouts (id, merchant_id, invoice, amount_minor, currency, status_id, created_at,
                    updated_at, latest_seq, latest_sequence, purpose)
                VALUES (2, 303, 'theirs', 1, 'BRL', 7, 0, 0, 0, 1, '20')
                """)
        }
        #expect(Set(try await store.createPayouts(3, prefix: "later")).isDisjoint(with: [1, 2]))
        #expect(try await store.number("SELECT count(*) FROM payouts WHERE invoice LIKE 'later%'") == 3)
    }

    @Test("a closed store runs what waited, and refuses what comes later")
    func closing() async throws {
        let (engine, _) = try Self.engine()
        try await Self.scratch(engine)
        try engine.close()
        await #expect(throws: StoreError.unavailable("the store is closed")) {
            try await engine.read { try $0.run("SELECT 1") }
        }
    }
}

/// Where threads wait for one another; who comes after that passes.
private final class Meeting: Sendable {
    private let missing: Mutex<Int>
    private let count: Int
    private let here = DispatchSemaphore(value: 0)

    init(of count: Int) {
        self.count = count
        missing = Mutex(count)
    }

    var arrivals: Int { count - missing.withLock { $0 } }

    func arrive() {
        let left = missing.withLock { missing in
            missing -= 1
            return missing
        }
        if left == 0 { here.signal() }
        if left < 0 { return }
        _ = here.wait(timeout: .now() + .seconds(120))
        here.signal()
    }
}

extension Sequence {
    fileprivate func asyncMap<T>(_ transform: (Element) async throws -> T) async rethrows -> [T] {
        var result: [T] = []
        for element in self { result.append(try await transform(element)) }
        return result
    }
}
