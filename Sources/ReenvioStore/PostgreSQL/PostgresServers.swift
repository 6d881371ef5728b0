import Synchronization

/// What the connections of one engine know of the servers behind their address, and what the operator should know.
final class PostgresServers: Sendable {
    private struct State {
        var history = ServerHistory()
        var news = ServerNews()
    }

    private let state = Mutex(State())

    var news: ServerNews { state.withLock { $0.news } }

    func isCurrent(_ server: ServerIdentity?) -> Bool {
        guard let server else { return true }
        return state.withLock { $0.history.isCurrent(server) }
    }

    /// Asks each server that takes writes, so that a process which starts begins with the newest.
    func survey(_ address: PostgresAddress, _ shared: PostgresShared) {
        let found = address.singleHosts.compactMap { server in
            (try? PostgresConnection(server, shared)).flatMap { try? $0.readIdentity() }
        }
        state.withLock { state in
            for server in found where state.history.isOfSystemInUse(server) { state.history.see(server) }
            for server in found where !state.history.isCurrent(server) {
                if case .refused(let words) = state.history.judge(server, recorded: nil) { state.news.refuse(words) }
            }
        }
    }

    /// A connection to a server that may be worked on: where the one that libpq chose is refused, the others are tried.
    func connect(
        _ address: PostgresAddress, _ shared: PostgresShared, plans: PostgresPlans = .whenItPays
    ) throws -> PostgresConnection {
        do {
            return try admitted(try PostgresConnection(address, shared, plans: plans))
        } catch let refusal as RefusedServer {
            for server in address.singleHosts {
                do {
                    return try admitted(try PostgresConnection(server, shared, plans: plans))
                } catch {
                    // Refused as well, or not there.
                    continue
                }
            }
            throw StoreError.unavailable(refusal.words)
        }
    }

    private struct RefusedServer: Error {
        var words: String
    }

    private func admitted(_ connection: PostgresConnection) throws -> PostgresConnection {
        guard let server = try connection.readIdentity() else { return connection }
        let recorded = try connection.recordedIdentity()
        let verdict = state.withLock { state in
            let verdict = state.history.judge(server, recorded: recorded.identity)
            switch verdict {
            case .refused(let words): state.news.refuse(words)
            case .adopted(let from):
                state.news.adopted = "\(from.stored) -> \(server.stored)"
                state.history.see(server)
            case .known, .newer:
                state.history.see(server)
            }
            return verdict
        }
        if case .refused(let words) = verdict { throw RefusedServer(words: words) }
        if verdict != .known, recorded.isStore { try connection.record(server) }
        connection.server = server
        return connection
    }
}

/// What became known of the servers behind an address.
package struct ServerNews: Sendable, Equatable {
    /// Connections refused so far, and why the last one was.
    package var refusals = 0
    package var refusal: String?
    /// From which system and timeline to which one the store was taken by a start.
    package var adopted: String?

    package init() {}

    fileprivate mutating func refuse(_ words: String) {
        refusals += 1
        refusal = words
    }
}

extension PostgresConnection {
    /// Nil for a standby, which takes no writes, and for a server that does not say. A control file may lag behind a
    /// promotion; the name of the log's file does not.
    fileprivate func readIdentity() throws -> ServerIdentity? {
        do {
            return try identity(system: "(SELECT system_identifier FROM pg_control_system())")
        } catch StoreError.failed {
            // A role that may not ask, which fails when the statement begins; or a service that has no such function.
        }
        do { return try identity(system: "NULL") } catch StoreError.failed { return nil }
    }

    private func identity(system: String) throws -> ServerIdentity? {
        let found = try first(
            """
            SELECT CAST(\(system) AS TEXT), CASE WHEN pg_is_in_recovery() THEN NULL
                ELSE CAST(CAST('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8) AS bit(32)) AS BIGINT) END
            """
        ) { (system: $0.textIfPresent(0), timeline: $0.intIfPresent(1)) }
        guard let found, let timeline = found.timeline else { return nil }
        return ServerIdentity(system: found.system, timeline: timeline)
    }

    /// What the store says of the server that it is on; `isStore` is false before the first migration.
    fileprivate func recordedIdentity() throws -> (identity: ServerIdentity?, isStore: Bool) {
        let isStore = try first("SELECT to_regclass('meta') IS NOT NULL") { $0.bool(0) }
        guard isStore == true else { return (nil, false) }
        let text = try first("SELECT value FROM meta WHERE name = 'server'") { $0.text(0) }
        return (text.flatMap(ServerIdentity.init(stored:)), true)
    }

    /// A note for a start to come, so that it waits for no standby.
    fileprivate func record(_ server: ServerIdentity) throws {
        _ = try command("BEGIN")
        _ = try command("SET LOCAL synchronous_commit = local")
        try query(
            """
            INSERT INTO meta (name, value) VALUES ('server', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value
            """, [.text(server.stored)]
        ) { _ in }
        _ = try command("COMMIT")
    }
}
