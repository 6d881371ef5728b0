import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// Ids that others chose, and ids that sequences give out again.
struct IDTests {
    /// What the tasks of a test tell each other.
    private final class Signs: Sendable {
        let hasBegun = Mutex(false)
        let isOver = Mutex(false)
        let isReserved = Mutex(false)
        let drawn = Mutex<Int64?>(nil)
    }

    private static func node(_ address: PostgresAddress) async throws -> Store {
        let engine = try PostgresEngine(address, readers: 1, writers: 3)
        return try await Store.open(engine: engine, sealing: try Fixtures.sealingKey, now: Fixtures.start).store
    }

    private static func withShop(_ store: Store) async throws {
        let account = try await store.createAccount(name: "Platform", actor: "test", now: Fixtures.start)
        let merchant = NewMerchant(
            id: Fixtures.merchantID, accountID: account, name: "Shop", signingSecret: try Fixtures.signingSecret)
        _ = try await store.createMerchant(merchant, actor: "test", now: Fixtures.start)
    }

    /// Nodes on one store, with a merchant in it: two on PostgreSQL, the same one twice on SQLite.
    private static func nodes(_ kind: TestEngine, in folder: ScratchFolder) async throws -> [Store] {
        let nodes: [Store]
        switch kind {
        case .sqlite:
            let engine = try kind.open(in: folder)
            let store = try await Store.open(engine: engine, sealing: try Fixtures.sealingKey, now: Fixtures.start)
                .store
            nodes = [store, store]
        case .postgres:
            let address = try TestPostgres.shared.newSchema()
            nodes = [try await node(address), try await node(address)]
        }
        try await withShop(nodes[0])
        return nodes
    }

    /// As the importer does: again where a transaction of somebody else takes long.
    private static func reserve(_ id: Int64, on store: Store) async throws {
        while true {
            do { return try await store.reservePayoutIDs(upTo: id) } catch StoreError.locked {}
        }
    }

    @Test(
        "no payout that is created beside an import takes one of its ids, and no line is refused",
        .timeLimit(.minutes(3)), arguments: TestEngine.allCases)
    func besideCreates(_ kind: TestEngine) async throws {
        let folder = try ScratchFolder()
        let nodes = try await Self.nodes(kind, in: folder)
        let signs = Signs()
        let ledger = Int64(2_001)...6_000
        let created = try await withThrowingTaskGroup(of: [Int64].self) { tasks in
            for writer in 0..<4 {
                tasks.addTask {
                    var ids: [Int64] = []
                    var round = 0
                    while !signs.isOver.withLock({ $0 }) {
                        ids += try await nodes[writer % 2].createPayouts(3, prefix: "live-\(writer)-\(round)")
                        round += 1
                        signs.hasBegun.withLock { $0 = true }
                    }
                    return ids
                }
            }
            while !signs.hasBegun.withLock({ $0 }) { await Task.yield() }
            try await Self.reserve(ledger.upperBound, on: nodes[0])
            for first in stride(from: ledger.lowerBound, to: ledger.upperBound, by: 500) {
                let lines = try (first..<first + 500).map { try ImportFixture.line(id: $0) }
                let outcomes = try await nodes[0].take(lines)
                #expect(outcomes == lines.map { .imported(id: $0.id ?? 0) })
            }
            signs.isOver.withLock { $0 = true }
            return try await tasks.reduce(into: []) { $0 += $1 }
        }
        #expect(created.filter { ledger.contains($0) } == [])
        #expect(created.contains { $0 > ledger.upperBound }, "nothing was created beside the import")
        #expect(Set(created).count == created.count)
        let stored = try await nodes[1].number("SELECT count(*) FROM payouts")
        #expect(stored == Int64(ledger.count + created.count))
        #expect(try await nodes[0].recount(engineNow: Fixtures.start).isEmpty)
    }

    @Test("a reservation waits for who has drawn an id, and who draws one waits for it", .timeLimit(.minutes(2)))
    func waiting() async throws {
        let address = try TestPostgres.shared.newSchema()
        let (first, second) = (try await Self.node(address), try await Self.node(address))
        let signs = Signs()
        let before = Task {
            try await first.engine.write(.intake) { db in
                let id = try db.nextIDs(.payout, 1)[0]
                signs.drawn.withLock { $0 = id }
                while !signs.isOver.withLock({ $0 }) { try db.query("SELECT pg_sleep(0.01)", []) { _ in } }
                return id
            }
        }
        while signs.drawn.withLock({ $0 }) == nil { await Task.yield() }
        let reserving = Task {
            try await Self.reserve(1_000, on: second)
            signs.isReserved.withLock { $0 = true }
        }
        let waits = """
            SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
            WHERE c.relname = 'ids_payout' AND NOT l.granted
                AND c.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())
            """
        while try await first.number(waits) == 0 { await Task.yield() }
        let after = Task { try await second.engine.write(.intake) { try $0.nextIDs(.payout, 1)[0] } }
        #expect(!signs.isReserved.withLock { $0 }, "the reservation did not wait")
        signs.isOver.withLock { $0 = true }
        let low = try await before.value
        try await reserving.value
        #expect(low <= 3)
        _ = try await after.value
        let high = try await first.engine.write(.intake) { try $0.nextIDs(.payout, 1)[0] }
        #expect(high > 1_000)
    }

    @Test(
        "sequences that are behind what is stored are moved, and the change takes place", arguments: TestEngine.allCases
    )
    func sequencesSetBack(_ kind: TestEngine) async throws {
        let folder = try ScratchFolder()
        let nodes = try await Self.nodes(kind, in: folder)
        let ids = try await nodes[0].createPayouts(40)
        try await nodes[0].report(.paid, ids)
        try await nodes[0].engine.write(.intake) { db in
            for sequence in IDSequence.allCases {
                switch kind {
                case .sqlite:
                    try db.run("UPDATE id_sequences SET next = 1 WHERE name = $1", [.text(sequence.rawValue)])
                case .postgres:
                    try db.query("SELECT setval('ids_\(sequence.rawValue)', 1, false)", []) { _ in }
                }
            }
        }
        // The other node has drawn nothing yet.
        let node = nodes[1]
        let more = try await node.createPayouts(30, prefix: "later", url: "https://b.example/hook")
        #expect(more.count == 30 && Set(more).isDisjoint(with: ids))
        let result = try await node.report(.paid, more)
        #expect(result.changes.allSatisfy { $0 == .applied } && result.deliveries == 30)
        _ = try await node.createAccount(name: "Other", actor: "test", now: Fixtures.start)
        #expect(node.engine.idRepairs > 0)
        #expect(try await node.number("SELECT count(*) FROM payouts WHERE receiver_id IS NULL") == 0)
        #expect(try await node.number("SELECT count(*) FROM deliveries") == 70)
        #expect(try await node.recount(engineNow: Fixtures.start).isEmpty)
        let repaired = node.engine.idRepairs
        try await node.report(.rejected, more)
        #expect(node.engine.idRepairs == repaired, "repaired once is enough")
    }

    @Test("ids in stock end with their connection", .timeLimit(.minutes(1)))
    func stocks() async throws {
        let address = try TestPostgres.shared.newSchema()
        let engine = try PostgresEngine(address, readers: 1, writers: 1)
        let store = try await Store.open(engine: engine, sealing: try Fixtures.sealingKey, now: Fixtures.start).store
        let first = try await store.engine.write(.intake) { db in
            (try db.nextIDs(.notification, 1)[0], try db.first("SELECT pg_backend_pid()") { $0.int(0) } ?? 0)
        }
        _ = try await store.engine.read { db in
            try db.query("SELECT pg_terminate_backend($1::int)", [.int(first.1)]) { _ in }
        }
        let second = try await store.engine.write(.intake) { try $0.nextIDs(.notification, 1)[0] }
        #expect(second > first.0 + 1_000, "an id of the lost connection's stock was given out")
    }
}
