import Foundation

/// A PostgreSQL from Debian's packages in a folder of its own, on a socket, as durable as it comes: fsync and full page
/// writes are on.
final class PrivatePostgres: Sendable {
    private let folder: String
    private let programs: String
    private let server: Child

    /// The address of its only database.
    var uri: String {
        "postgresql:///postgres?host=\(folder.replacingOccurrences(of: "/", with: "%2F"))&user=postgres"
    }

    init() async throws {
        let folder = try Cleanup.makeFolder()
        let programs = try Self.findPrograms()
        // initdb and the server refuse to run as root.
        let prefix =
            getuid() == 0 ? ["/usr/bin/setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"] : []
        if getuid() == 0 { _ = try Child.output(of: "/usr/bin/chown", ["nobody:nogroup", folder]) }
        func command(_ program: String, _ arguments: [String]) -> (path: String, arguments: [String]) {
            let words = prefix + ["\(programs)/\(program)"] + arguments
            return (words[0], Array(words.dropFirst()))
        }
        let initdb = command(
            "initdb", ["-D", folder + "/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"])
        _ = try Child.output(of: initdb.path, initdb.arguments, folder: "/")
        let settings = [
            "listen_addresses=", "unix_socket_directories=\(folder)", "shared_buffers=1GB", "max_wal_size=8GB",
            "checkpoint_timeout=15min", "log_min_messages=fatal",
        ].flatMap { ["-c", $0] }
        let postgres = command("postgres", ["-D", folder + "/data"] + settings)
        let server = try Child(postgres.path, postgres.arguments, folder: "/", errors: .nullDevice)
        let ready = programs + "/pg_isready"
        _ = try await eventually("a PostgreSQL that takes connections", within: .seconds(30)) {
            guard server.isRunning else { throw Failure("PostgreSQL did not start") }
            return try? Child.output(of: ready, ["-q", "-h", folder], folder: "/")
        }
        self.folder = folder
        self.programs = programs
        self.server = server
    }

    private static func findPrograms() throws -> String {
        let base = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []
        guard let newest = versions.compactMap({ Int($0) }).max() else {
            throw Failure("no PostgreSQL under \(base): apt-get install postgresql")
        }
        return "\(base)/\(newest)/bin"
    }

    /// What a query prints, a line a row.
    func query(_ sql: String) throws -> String {
        try Child.output(of: programs + "/psql", ["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", uri, "-c", sql], folder: "/")
    }

    /// CPU of all its processes so far, in us.
    var cpuMicroseconds: Int {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc"))?.compactMap { pid_t($0) } ?? []
        return all.compactMap { ProcessUsage.microseconds(of: $0, under: server.pid) }.reduce(0, +)
    }

    func stop() async {
        await server.stop(SIGINT)
        Cleanup.remove(folder: folder)
    }
}
