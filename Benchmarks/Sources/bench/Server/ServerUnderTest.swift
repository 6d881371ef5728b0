import Foundation

/// `reenvio serve` on a store of its own.
final class ServerUnderTest: Sendable {
    static let merchantID = 303

    let address: Address
    let store: FreshStore
    private let listener: Listener

    private init(listener: Listener, store: FreshStore) {
        self.listener = listener
        self.store = store
        address = listener.address
    }

    static func start(on store: FreshStore) async throws -> ServerUnderTest {
        let path = store.folder + "/log"
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let log = FileHandle(forWritingAtPath: path)
        else { throw Failure("no log file can be made") }
        let listener = try await Listener.start(
            store.binary, ["serve"], environment: store.settings, folder: store.folder, errors: log
        )
        return ServerUnderTest(listener: listener, store: store)
    }

    /// Runs `body` on a server with a fresh store, and removes both, whatever happens.
    static func with<T>(
        _ binary: String, schedule: String = "0s,5s,5m", on kind: StoreKind = .sqlite,
        _ body: (ServerUnderTest) async throws -> T
    ) async throws -> T {
        let store = try await FreshStore.make(binary, schedule: schedule, merchants: [merchantID], on: kind)
        return try await store.during { try await with($0, body) }
    }

    /// Runs `body` on a server and stops it, whatever happens; the store stays.
    static func with<T>(_ store: FreshStore, _ body: (ServerUnderTest) async throws -> T) async throws -> T {
        let server = try await start(on: store)
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
    }

    var pid: pid_t { listener.child.pid }

    func headers() -> [(String, String)] {
        [("content-type", "application/json"), ("authorization", "Bearer \(store.operatorKey)")]
    }

    /// What a query of one number yields, asked beside the server and without writing.
    func number(_ sql: String) throws -> Int { try store.number(sql) }

    /// Appends of 4 KiB with fdatasync per second, on the disk of the store: what bounds the number of commits.
    func syncsPerSecond() throws -> Double { try Disk.syncsPerSecond(in: store.folder) }

    private var log: String {
        (try? String(contentsOfFile: store.folder + "/log", encoding: .utf8)) ?? ""
    }
}
