import Foundation
package import ReenvioStore
import Synchronization

/// A private PostgreSQL for this process of tests, from Debian's packages, on a socket in a folder of its own; never
/// the system's. It is started once, when it is first asked for, and ends with the process, however that ends.
package final class TestPostgres: Sendable {
    package struct Failed: Error, CustomStringConvertible {
        package var description: String
    }

    /// Throws what keeps it from starting: the tests on PostgreSQL fail then, they are not skipped.
    package static var shared: TestPostgres { get throws { try start.get() } }

    private static let start = Result { try TestPostgres() }

    private let folder: String
    private let binaries: String
    private static let schemasMax = 3_000
    private let schemas = Atomic<Int>(0)

    private init() throws {
        binaries = try Self.findBinaries()
        folder = NSTemporaryDirectory() + "/reenvio-pg-" + UUID().uuidString.prefix(8)
        try run("mkdir", ["-m", "777", folder])
        try runAsServer(
            binaries + "/initdb",
            ["-D", folder + "/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
        try startServer()
    }

    /// The socket that the server listens on.
    package var socket: String { "\(folder)/\(Self.socketName)" }
    package static let socketName = ".s.PGSQL.5432"

    /// An address with an empty schema of its own.
    /// - Parameter host: another folder in which the server's socket is found.
    package func newSchema(host: String? = nil) throws -> PostgresAddress {
        try PostgresAddress(uri(try takeSchema(), in: host))
    }

    private func takeSchema() throws -> String {
        let number = schemas.add(1, ordering: .relaxed).newValue
        guard number <= Self.schemasMax else { throw Failed(description: "there are more stores than schemas") }
        return "&options=-csearch_path%3Ds\(number)"
    }

    /// The same schema over a relay, as libpq looks for it: a socket of this name in a folder.
    package func newSchemas(
        through relay: StallingRelay
    ) throws -> (direct: PostgresAddress, relayed: PostgresAddress) {
        let schema = try takeSchema()
        return (try PostgresAddress(uri(schema)), try PostgresAddress(uri(schema, in: relay.folder)))
    }

    private func uri(_ more: String, in folder: String? = nil) -> String {
        let folder = folder ?? self.folder
        let path = folder.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? folder
        return "postgresql:///postgres?host=\(path)&user=postgres\(more)"
    }

    private static func findBinaries() throws -> String {
        let base = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
        let newest = versions.compactMap { Int($0) }.max()
        guard let newest else {
            throw Failed(description: "no PostgreSQL under \(base): run scripts/setup test")
        }
        return "\(base)/\(newest)/bin"
    }

    /// A shell waits for the end of its input, which is this process's, and then ends the server and its folder.
    private func startServer() throws {
        let options = [
            "listen_addresses=", "unix_socket_directories=\(folder)", "fsync=off", "full_page_writes=off",
            "max_connections=1500", "shared_buffers=256MB", "autovacuum=off", "log_min_messages=fatal",
            "deadlock_timeout=100ms", "max_locks_per_transaction=256",
        ].flatMap { ["-c", $0] }
        let script = """
            cd /; folder=$1; shift
            "$@" >"$folder/log" 2>&1 </dev/null & server=$!
            cat >/dev/null
            kill -QUIT $server; wait $server; rm -rf "$folder"
            """
        let command = serverCommand(binaries + "/postgres", ["-D", folder + "/data"] + options)
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0, ends.allSatisfy({ fcntl($0, F_SETFD, FD_CLOEXEC) == 0 }) else {
            throw Failed(description: "no pipe")
        }
        // The other end stays open until this process ends, and nobody else has it.
        let server = try ChildProgram.spawn(["/bin/sh", "-c", script, "sh", folder] + command, input: ends[0])
        close(ends[0])
        // pg_isready tries; the server needs a moment.
        for _ in 0..<300 {
            if (try? run(binaries + "/pg_isready", ["-q", "-t", "1", "-h", folder])) != nil {
                return try createSchemas()
            }
            guard waitpid(server, nil, WNOHANG) == 0 else { break }
            _ = try? run("sleep", ["0.1"])
        }
        let log = (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? ""
        throw Failed(description: "the private PostgreSQL did not start: \(log)")
    }

    private func createSchemas() throws {
        let script = """
            DO $$ BEGIN
                FOR number IN 1..\(Self.schemasMax) LOOP EXECUTE 'CREATE SCHEMA s' || number; END LOOP;
            END $$
            """
        try run(binaries + "/psql", ["-qX", "-d", uri(""), "-c", script])
    }

    // MARK: Programs

    /// initdb and the server refuse to run as root.
    private func serverCommand(_ program: String, _ arguments: [String]) -> [String] {
        guard getuid() == 0 else { return [program] + arguments }
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", program] + arguments
    }

    private func runAsServer(_ program: String, _ arguments: [String]) throws {
        let command = serverCommand(program, arguments)
        try run(command[0], Array(command.dropFirst()))
    }

    private func run(_ program: String, _ arguments: [String]) throws {
        try ChildProgram.run(program, arguments, in: "/")
    }
}
