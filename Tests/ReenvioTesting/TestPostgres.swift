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
    private let schemas = Atomic<Int>(0)
    /// Its end is the server's.
    private let server = Mutex<Process?>(nil)

    private init() throws {
        binaries = try Self.findBinaries()
        folder = NSTemporaryDirectory() + "/reenvio-pg-" + UUID().uuidString.prefix(8)
        try run("mkdir", ["-m", "777", folder])
        try runAsServer(
            binaries + "/initdb",
            ["-D", folder + "/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"])
        try startServer()
    }

    /// An address with an empty schema of its own.
    package func newSchema() throws -> PostgresAddress {
        let name = "s\(schemas.add(1, ordering: .relaxed).newValue)"
        try run(binaries + "/psql", ["-qX", "-d", uri(""), "-c", "CREATE SCHEMA \(name)"])
        return try PostgresAddress(uri("&options=-csearch_path%3D\(name)"))
    }

    private func uri(_ more: String) -> String {
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
            folder=$1; shift
            "$@" >"$folder/log" 2>&1 </dev/null & server=$!
            cat >/dev/null
            kill -QUIT $server; wait $server; rm -rf "$folder"
            """
        let command = serverCommand(binaries + "/postgres", ["-D", folder + "/data"] + options)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script, "sh", folder] + command
        process.standardInput = Pipe()
        try process.run()
        server.withLock { $0 = process }
        // pg_isready tries; the server needs a moment.
        for _ in 0..<300 {
            if (try? run(binaries + "/pg_isready", ["-q", "-t", "1", "-h", folder])) != nil { return }
            guard process.isRunning else { break }
            _ = try? run("sleep", ["0.1"])
        }
        let log = (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? ""
        throw Failed(description: "the private PostgreSQL did not start: \(log)")
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
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [program] + arguments
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        if process.terminationStatus != 0 { throw Failed(description: "\(program): \(text)") }
    }
}
