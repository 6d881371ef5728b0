import ReenvioStore
import ReenvioTesting
import Testing

/// Which of two servers that both take writes a process goes on with.
struct ServerHistoryTests {
    private static func server(_ system: String?, _ timeline: Int64) -> ServerIdentity {
        ServerIdentity(system: system, timeline: timeline)
    }

    struct Case: CustomStringConvertible {
        var description: String
        /// In the order in which the process worked on them.
        var seen: [ServerIdentity] = []
        var recorded: ServerIdentity?
        var server: ServerIdentity
        /// The beginning of the verdict's name.
        var verdict: String
    }

    static let cases = [
        Case(description: "a new store", server: server("a", 1), verdict: "newer"),
        Case(description: "a start where it was", recorded: server("a", 3), server: server("a", 3), verdict: "known"),
        Case(
            description: "a start after a failover", recorded: server("a", 3), server: server("a", 4),
            verdict: "newer"),
        Case(
            description: "a failover while it runs", seen: [server("a", 3)], recorded: server("a", 3),
            server: server("a", 4), verdict: "newer"),
        Case(
            description: "an old primary that came back", seen: [server("a", 4)], recorded: server("a", 3),
            server: server("a", 3), verdict: "refused"),
        Case(
            description: "an old primary, systems unknown", seen: [server(nil, 4)], recorded: server(nil, 3),
            server: server(nil, 3), verdict: "refused"),
        Case(
            description: "a newer store put into an old cluster", recorded: server("a", 4), server: server("a", 3),
            verdict: "refused"),
        Case(
            description: "a dump put into another cluster", recorded: server("a", 4), server: server("b", 1),
            verdict: "adopted"),
        Case(
            description: "a dump, and nobody may ask for the system", recorded: server(nil, 4), server: server(nil, 1),
            verdict: "adopted"),
        Case(
            description: "another cluster while it runs", seen: [server("a", 4)], recorded: server("a", 4),
            server: server("b", 1), verdict: "refused"),
        Case(
            description: "an empty cluster while it runs", seen: [server("a", 4)], server: server("b", 1),
            verdict: "refused"),
        Case(
            description: "another cluster that a start took", seen: [server("a", 4)], recorded: server("b", 1),
            server: server("b", 1), verdict: "known"),
        Case(
            description: "back to the cluster that was left", seen: [server("a", 4), server("b", 1)],
            recorded: server("a", 4), server: server("a", 4), verdict: "refused"),
        Case(
            description: "a role that may ask only now", seen: [server(nil, 4)], recorded: server(nil, 4),
            server: server("a", 4), verdict: "newer"),
    ]

    @Test("a server is taken, or refused as an old one", arguments: cases)
    func judging(_ one: Case) {
        var history = ServerHistory()
        for server in one.seen { history.see(server) }
        #expect("\(history.judge(one.server, recorded: one.recorded))".hasPrefix(one.verdict))
    }

    @Test("a connection to a server that is no longer the newest is given up")
    func current() {
        var history = ServerHistory()
        #expect(history.isCurrent(Self.server("a", 1)))
        history.see(Self.server("a", 2))
        #expect(!history.isCurrent(Self.server("a", 1)))
        #expect(history.isCurrent(Self.server("a", 2)))
        #expect(!history.isCurrent(Self.server("b", 2)))
        #expect(history.isCurrent(Self.server(nil, 2)))
    }

    @Test("what is stored is read again", arguments: [server("7412345678901234567", 12), server(nil, 1)])
    func stored(_ server: ServerIdentity) {
        #expect(ServerIdentity(stored: server.stored) == server)
        #expect(ServerIdentity(stored: "x") == nil && ServerIdentity(stored: "a b") == nil)
    }

    @Test(
        "hosts of an address are told apart",
        arguments: [
            ("postgresql://a.example/db", 0), ("postgresql://a.example,b.example/db", 2),
            ("postgresql://a.example:1,b.example:2/db", 2), ("postgresql:///db?host=%2Fone,%2Ftwo&port=6000", 2),
            ("postgresql://a.example,/db", 0), ("postgresql:///db", 0),
        ])
    func hosts(_ uri: String, _ count: Int) throws {
        #expect(try PostgresAddress(uri).singleHosts.count == count)
    }

    @Test("a store says which server it is on, and one from another system is taken by a start")
    func recording() async throws {
        let address = try TestPostgres.shared.newSchema()
        func open() async throws -> Store {
            let engine = try PostgresEngine(address, readers: 1, writers: 1)
            return try await Store.open(engine: engine, sealing: try Fixtures.sealingKey, now: Fixtures.start).store
        }
        func recorded(_ store: Store) async throws -> String? {
            try await store.engine.read { db in
                try db.first("SELECT value FROM meta WHERE name = 'server'") { $0.text(0) }
            }
        }
        try await open().close()
        let store = try await open()
        let here = try #require(try await recorded(store))
        #expect(ServerIdentity(stored: here)?.timeline == 1)
        #expect(store.engine.sharing?.serverNews == ServerNews())
        try await store.engine.write(.intake) { db in
            try db.run("UPDATE meta SET value = '17 9' WHERE name = 'server'")
            return ()
        }
        try store.close()
        let again = try await open()
        #expect(try await recorded(again) == here)
        #expect(again.engine.sharing?.serverNews.adopted == "17 9 -> \(here)")
        try again.close()
    }
}
