import Foundation
import GRDB
import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// What every engine must do for the transactions above it.
struct EngineTests {
    @Test("a commit is on disk before it is answered: the writer runs at synchronous = FULL")
    func synchronousIsFull() async throws {
        let folder = try ScratchFolder()
        let engine = try SQLiteEngine(path: folder.path + "/store.db")
        #expect(try await engine.synchronousLevel() == 2)
    }

    @Test("parameters mean what they are called, in whatever order they appear", arguments: TestEngine.allCases)
    func parametersOutOfOrder(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let row = try await store.rows("SELECT $3, $1, $2, $1", columns: 4, [.int(10), .int(20), .int(30)])
        #expect(row == [[30, 10, 20, 10]])
    }

    @Test(
        "a batch binds each row, keeps null apart from empty, and counts what changed", arguments: TestEngine.allCases)
    func batches(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let result = try await store.engine.write(.intake) { db in
            try db.run("CREATE TABLE scratch (id INTEGER PRIMARY KEY, name TEXT, body BLOB) STRICT")
            var rows = SQLRows([("id", .int), ("name", .text), ("body", .blob)])
            rows.append([.int(1), .text(""), .blob([])])
            rows.append([.int(2), .null, .null])
            rows.append([.int(2), .text("taken"), .null])
            rows.append([.int(3), .text("ação"), .blob([0, 255])])
            var ids: [Int64] = []
            let changed = try db.batch(
                """
                INSERT INTO scratch SELECT rows.id, rows.name, rows.body FROM {rows} WHERE true
                ON CONFLICT DO NOTHING RETURNING id
                """,
                rows
            ) { ids.append($0.int(0)) }
            let stored = try db.all("SELECT name, body FROM scratch ORDER BY id") {
                ($0.textIfPresent(0), $0.blobIfPresent(1))
            }
            return (changed, ids, stored.map(\.0), stored.map(\.1))
        }
        #expect(result.0 == 3)
        #expect(result.1 == [1, 2, 3])
        #expect(result.2 == ["", nil, "ação"])
        #expect(result.3 == [[], nil, [0, 255]])
    }

    @Test("what is sent takes place in order, before whatever asks for an answer", arguments: TestEngine.allCases)
    func sending(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let seen = try await store.engine.write(.intake) { db -> ([Bool], [Int64]?) in
            try db.run("CREATE TABLE scratch (id INTEGER PRIMARY KEY, name TEXT, body BLOB) STRICT")
            // Far more than what a socket holds, so that neither side may wait for the other one.
            for part in Int64(0)..<20 {
                var rows = SQLRows([("id", .int), ("name", .text), ("body", .blob)])
                for id in part * 500..<(part + 1) * 500 {
                    rows.append([.int(id), id == 7 ? .null : .text("ação"), .blob([UInt8](repeating: 0, count: 200))])
                }
                try db.send("INSERT INTO scratch SELECT rows.id, rows.name, rows.body FROM {rows}", rows)
            }
            var rows = SQLRows([("id", .int)])
            rows.append([.int(9_999)])
            try db.send("UPDATE scratch SET name = 'last' FROM {rows} WHERE scratch.id = rows.id", rows)
            let gone = try db.effects("DELETE FROM scratch USING {rows} WHERE scratch.id = rows.id", rows)
            let counts = try db.first("SELECT count(*), count(name), sum(length(body)) FROM scratch") {
                [$0.int(0), $0.int(1), $0.int(2)]
            }
            return (gone, counts)
        }
        #expect(seen.0 == [true])
        #expect(seen.1 == [9_999, 9_998, 9_999 * 200])
    }

    @Test(
        "what is sent and fails is told at the latest by the commit, and nothing is left",
        arguments: TestEngine.allCases,
        [false, true])
    func sendingWhatFails(_ kind: TestEngine, _ asksAfterwards: Bool) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        var error: (any Error)?
        do {
            try await store.engine.write(.intake) { db in
                try db.run("UPDATE merchants SET name = 'changed'")
                var rows = SQLRows([("id", .int), ("name", .text)])
                rows.append([.int(Fixtures.merchantID), .null])
                try db.send("UPDATE merchants SET name = rows.name FROM {rows} WHERE merchants.id = rows.id", rows)
                if asksAfterwards {
                    _ = try db.first("SELECT name FROM merchants") { $0.text(0) }
                    Issue.record("there was an answer after a failure")
                }
                return ()
            }
        } catch let caught {
            error = caught
        }
        #expect(error is StoreError)
        if case .unavailable = error as? StoreError { Issue.record("it failed, and was not only unavailable") }
        #expect(try await store.number("SELECT count(*) FROM merchants WHERE name = 'changed'") == 0)
        #expect(try await store.number("SELECT count(*) FROM merchants") == 1, "and the connection goes on")
    }

    @Test("a transaction that throws leaves nothing behind", arguments: TestEngine.allCases)
    func rollback(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        await #expect(throws: StoreError.failed("on purpose")) {
            _ = try await store.engine.write(.intake) { db in
                try db.run("UPDATE merchants SET name = 'changed'")
                throw StoreError.failed("on purpose")
            }
        }
        #expect(try await store.number("SELECT count(*) FROM merchants WHERE name = 'changed'") == 0)
    }

    @Test("ids ascend without gaps inside a call and never repeat", arguments: TestEngine.allCases)
    func idSequences(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let (first, second) = try await store.engine.write(.intake) { db in
            (try db.nextIDs(.delivery, 3), try db.nextIDs(.delivery, 2))
        }
        #expect(first == [1, 2, 3])
        #expect(second == [4, 5])
    }

    @Test(
        "a batched change says which rows it changed, and needs no RETURNING", arguments: TestEngine.allCases)
    func effects(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let result = try await store.engine.write(.intake) { db in
            try db.run("CREATE TABLE scratch (id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT")
            try db.run("INSERT INTO scratch VALUES (1, 'one'), (3, 'three')")
            var rows = SQLRows([("id", .int), ("name", .text)])
            rows.append([.int(1), .text("un")])
            rows.append([.int(2), .text("deux")])
            rows.append([.int(3), .text("trois")])
            let updated = try db.effects(
                "UPDATE scratch SET name = rows.name FROM {rows} WHERE scratch.id = rows.id", rows)
            let deleted = try db.effects(
                "DELETE FROM scratch USING {rows} WHERE scratch.id = rows.id AND scratch.name = 'un'", rows)
            return (updated, deleted, try db.all("SELECT name FROM scratch") { $0.text(0) })
        }
        #expect(result.0 == [true, false, true])
        #expect(result.1 == [true, false, false])
        #expect(result.2 == ["trois"])
    }

    @Test("the write with the greater right goes first, and now and then the one with the least")
    func writeOrder() {
        var queue = WriteQueue<WritePriority>()
        for priority in [WritePriority.bulk, .chunks, .outcomes, .intake] { queue.append(priority, priority) }
        #expect((0..<5).map { _ in queue.next() } == [.intake, .outcomes, .chunks, .bulk, nil])
        for _ in 0..<20 { queue.append(.intake, .intake) }
        queue.append(.bulk, .bulk)
        let order = (0..<21).compactMap { _ in queue.next() }
        #expect(order.count == 21)
        #expect(order.firstIndex(of: .bulk) == 10, "the sixteenth turn of all")
    }

    @Test("a closed store writes what waited, and refuses what comes later")
    func closing() async throws {
        let folder = try ScratchFolder()
        let engine = try SQLiteEngine(path: folder.path + "/store.db")
        try await engine.write(.intake) { db in
            try db.run("CREATE TABLE scratch (id INTEGER PRIMARY KEY) STRICT")
            return ()
        }
        try engine.close()
        await #expect(throws: StoreError.unavailable("the store is closed")) {
            try await engine.write(.intake) { db in
                try db.run("INSERT INTO scratch VALUES (1)")
                return ()
            }
        }
    }

    @Test("writers of one file wait for one another, whatever their manners")
    func writersOfOneFile() async throws {
        let folder = try ScratchFolder()
        let store = try await Fixtures.store(in: folder)
        let path = folder.path + "/store.db"
        let engines = try [SQLiteManners.eager, .yielding].map { try SQLiteEngine(path: path, manners: $0) }
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            for engine in engines {
                tasks.addTask {
                    for _ in 0..<50 {
                        _ = try await engine.write(.bulk) { try $0.run("UPDATE merchant_clocks SET seq = seq + 1") }
                    }
                }
            }
            try await tasks.waitForAll()
        }
        #expect(try await store.number("SELECT seq FROM merchant_clocks") == 100)
        for engine in engines { try engine.close() }
    }

    @Test("waiting for the lock ends", arguments: [(SQLiteManners.eager, 10_000), (.yielding, 12_000)])
    func givesUp(_ manners: SQLiteManners, looks: Int) {
        #expect(manners.waitForLock(looks: 0))
        #expect(manners.waitForLock(looks: looks - 1))
        #expect(!manners.waitForLock(looks: looks))
    }

    @Test("who imports copies the log to the file before a server has to", arguments: [SQLiteManners.eager, .yielding])
    func checkpoints(_ manners: SQLiteManners) async throws {
        let folder = try ScratchFolder()
        let engine = try SQLiteEngine(path: folder.path + "/store.db", manners: manners)
        let pages = try await engine.write(.bulk) { try $0.first("PRAGMA wal_autocheckpoint") { $0.int(0) } }
        #expect(pages == Int64(manners.checkpointPages))
        #expect(SQLiteManners.yielding.checkpointPages < SQLiteManners.eager.checkpointPages)
        try engine.close()
    }

    @Test("a database of somebody else, or no database at all, is refused and not touched")
    func foreignFiles() async throws {
        let folder = try ScratchFolder()
        let foreign = folder.path + "/foreign.db"
        try Self.makeForeignDatabase(foreign)
        #expect(throws: StoreError.notOurs(foreign)) { try SQLiteEngine(path: foreign) }
        let garbage = folder.path + "/garbage.db"
        let bytes = Data(repeating: 65, count: 8_192)
        try bytes.write(to: URL(fileURLWithPath: garbage))
        #expect(throws: StoreError.notOurs(garbage)) { try SQLiteEngine(path: garbage) }
        #expect(try Data(contentsOf: URL(fileURLWithPath: garbage)) == bytes)
    }

    @Test("a store newer than the binary is refused", arguments: TestEngine.allCases)
    func newerStore(_ kind: TestEngine) async throws {
        let folder = try ScratchFolder()
        let store = try await Fixtures.store(kind, in: folder)
        _ = try await store.engine.write(.intake) { db in
            try db.run("INSERT INTO migrations (version, name, applied_at) VALUES (999, 'from the future', 0)")
            try db.run("UPDATE meta SET value = '999' WHERE name = 'schema_needs'")
            return ()
        }
        await #expect(throws: StoreError.newer(found: 999, known: Schema.latest)) {
            try await Store.open(engine: store.engine, sealing: try Fixtures.sealingKey, now: Fixtures.start)
        }
    }

    @Test("a store on which a newer binary only added is worked on", arguments: TestEngine.allCases)
    func newerStoreThatOnlyAdds(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        func needs(_ version: Int64) async throws {
            try await store.engine.write(.intake) { db in
                try db.run("UPDATE meta SET value = $1 WHERE name = 'schema_needs'", [.text(String(version))])
                return ()
            }
        }
        try await store.engine.write(.intake) { db in
            try db.run("INSERT INTO migrations (version, name, applied_at) VALUES (999, 'from the future', 0)")
            try db.run("ALTER TABLE payouts ADD COLUMN future TEXT")
            return ()
        }
        let key = try Fixtures.sealingKey
        try await needs(Schema.latest)
        #expect(try await Store.open(engine: store.engine, sealing: key, now: Fixtures.start).applied.isEmpty)
        #expect(try await store.createPayouts(1).count == 1)
        try await needs(Schema.latest + 1)
        await #expect(throws: StoreError.newer(found: 999, known: Schema.latest)) {
            try await Store.open(engine: store.engine, sealing: key, now: Fixtures.start)
        }
    }

    @Test("opening with another encryption key is refused", arguments: TestEngine.allCases)
    func otherKey(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let other = try #require(SealingKey(bytes: Array(repeating: 9, count: 32)))
        await #expect(throws: StoreError.self) {
            try await Store.open(engine: store.engine, sealing: other, now: Fixtures.start)
        }
    }

    @Test("migrating twice applies nothing the second time", arguments: TestEngine.allCases)
    func migrations(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let again = try await Store.open(engine: store.engine, sealing: try Fixtures.sealingKey, now: Fixtures.start)
        #expect(again.applied.isEmpty)
    }

    private static func makeForeignDatabase(_ path: String) throws {
        let queue = try DatabaseQueue(path: path)
        try queue.write { try $0.execute(sql: "CREATE TABLE theirs (id INTEGER)") }
        try queue.close()
    }
}
