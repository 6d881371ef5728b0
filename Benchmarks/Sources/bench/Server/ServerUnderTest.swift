import Foundation

/// `reenvio serve` on a fresh store in a folder of its own, with one merchant; everything is gone after `stop`.
final class ServerUnderTest: Sendable {
    static let merchantID = 303

    let address: Address
    let operatorKey: String
    private let listener: Listener
    private let folder: String

    private struct KeyLine: Decodable {
        var key: String
    }

    private init(listener: Listener, operatorKey: String, folder: String) {
        self.listener = listener
        self.operatorKey = operatorKey
        self.folder = folder
        address = listener.address
    }

    static func start(_ binary: String, schedule: String) async throws -> ServerUnderTest {
        let folder = try Cleanup.makeFolder()
        do {
            let settings = settings(folder, schedule: schedule)
            let key = try setUp(binary, settings, folder)
            guard FileManager.default.createFile(atPath: folder + "/log", contents: nil),
                let log = FileHandle(forWritingAtPath: folder + "/log")
            else { throw Failure("no log file can be made") }
            let listener = try await Listener.start(
                binary, ["serve"], environment: settings, folder: folder, errors: log
            )
            return ServerUnderTest(listener: listener, operatorKey: key, folder: folder)
        } catch {
            Cleanup.remove(folder: folder)
            throw error
        }
    }

    /// Runs `body` on a fresh server and stops it, whatever happens.
    static func with<T>(
        _ binary: String, schedule: String = "0s,5s,5m", _ body: (ServerUnderTest) async throws -> T
    ) async throws -> T {
        let server = try await start(binary, schedule: schedule)
        do {
            let result = try await body(server)
            await server.stop()
            return result
        } catch {
            let log = server.log.suffix(2_000)
            await server.stop()
            if !log.isEmpty { Output.note("the server said:\n\(log)") }
            throw error
        }
    }

    func stop() async {
        await listener.child.stop()
        Cleanup.remove(folder: folder)
    }

    var pid: pid_t { listener.child.pid }

    func headers() -> [(String, String)] {
        [("content-type", "application/json"), ("authorization", "Bearer \(operatorKey)")]
    }

    /// What a query of one number yields, asked beside the server and without writing.
    func number(_ sql: String) throws -> Int {
        let text = try Child.output(
            of: "/usr/bin/sqlite3", ["-readonly", "-cmd", ".timeout 2000", folder + "/bench.db", sql]
        )
        guard let number = Int(text.trimmingCharacters(in: .whitespacesAndNewlines)) else {
            throw Failure("sqlite3 answered \(text)")
        }
        return number
    }

    /// Appends of 4 KiB with fdatasync per second, on the disk of the store: what bounds the number of commits.
    func syncsPerSecond() throws -> Double { try Disk.syncsPerSecond(in: folder) }

    private var log: String {
        (try? String(contentsOfFile: folder + "/log", encoding: .utf8)) ?? ""
    }

    private static func settings(_ folder: String, schedule: String) -> [String: String] {
        [
            "REENVIO_STORE": "sqlite:\(folder)/bench.db",
            "REENVIO_LISTEN": "127.0.0.1:0",
            "REENVIO_ALLOW_HTTP_RECEIVERS": "true",
            "REENVIO_ALLOW_PRIVATE_RECEIVERS": "127.0.0.0/8",
            "REENVIO_RETRY_SCHEDULE": schedule,
            "REENVIO_RATE_LIMITS": "off",
            "REENVIO_LOG": "warning",
        ]
    }

    private static func setUp(_ binary: String, _ settings: [String: String], _ folder: String) throws -> String {
        func command(_ arguments: String...) throws -> String {
            try Child.output(of: binary, arguments + ["--json"], environment: settings, folder: folder)
        }
        _ = try command("account", "create", "--name", "Benchmark")
        _ = try command("merchant", "create", "--account", "1", "--id", "\(merchantID)", "--name", "Benchmark")
        let key = try command("key", "create", "--operator", "--name", "benchmark")
        return try JSONDecoder().decode(KeyLine.self, from: Data(key.utf8)).key
    }
}
