import Foundation
import Synchronization

/// Waits for announcements of nodes on a connection and a thread of its own. One that is lost is made again; what was
/// announced meanwhile is not known, so it rings then.
final class PostgresListener: StoreListening {
    /// One for each schema, as an expression.
    static let channel = "'reenvio_' || md5(current_schema())"
    private static let pause: CInt = 1_000

    /// Read by the thread; written to, it ends.
    private let end: (read: CInt, write: CInt)
    private let isStopped = Mutex(false)

    /// - Throws: `StoreError.unavailable` where this machine has no descriptor or no thread.
    init(
        _ address: PostgresAddress, _ shared: PostgresShared, startThread: SystemThread.Start = SystemThread.start,
        _ ring: @escaping @Sendable () -> Void
    ) throws {
        var pair: [CInt] = [-1, -1]
        guard pipe(&pair) == 0 else {
            throw StoreError.unavailable("the system has no descriptor left for the reenvio listener")
        }
        end = (pair[0], pair[1])
        do {
            try Self.start(address, shared, until: end.read, by: startThread, ring)
        } catch {
            close(end.read)
            stop()
            throw error
        }
    }

    private static func start(
        _ address: PostgresAddress, _ shared: PostgresShared, until end: CInt, by startThread: SystemThread.Start,
        _ ring: @escaping @Sendable () -> Void
    ) throws {
        try SystemThread.startNeeded("reenvio listener", by: startThread) {
            while !Self.isReadable(end, within: 0) {
                try? Self.listen(address, shared, until: end, ring)
                if Self.isReadable(end, within: Self.pause) { break }
            }
            close(end)
        }
    }

    func stop() {
        let isFirst = isStopped.withLock { isStopped in
            defer { isStopped = true }
            return !isStopped
        }
        if isFirst { close(end.write) }
    }

    deinit {
        stop()
    }

    private static func listen(
        _ address: PostgresAddress, _ shared: PostgresShared, until end: CInt, _ ring: () -> Void
    ) throws {
        let connection = try shared.servers.connect(address, shared)
        let channel = try connection.first("SELECT \(channel)") { $0.text(0) } ?? ""
        _ = try connection.command("LISTEN \(channel)")
        ring()
        while !isReadable(end, connection.socket) {
            if try connection.takeNotifications() > 0 { ring() }
        }
    }

    private static func isReadable(_ file: CInt, within milliseconds: CInt) -> Bool {
        var files = [pollfd(fd: file, events: Int16(POLLIN), revents: 0)]
        return poll(&files, 1, milliseconds) > 0
    }

    /// Waits until one of the two has something, and says whether the first has.
    private static func isReadable(_ first: CInt, _ second: CInt) -> Bool {
        var files = [first, second].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        return poll(&files, 2, -1) > 0 && files[0].revents != 0
    }
}
