import Foundation
import Synchronization

/// Stands between an engine and the private PostgreSQL, on a socket in a folder of its own. Stalled, it keeps every
/// connection, takes new ones, and carries nothing: a server that is frozen, a pooler that hangs.
package final class StallingRelay: Sendable {
    package let folder: String
    private let target: String
    private let listener: CInt
    private let gate = Gate()

    /// Open or shut for everybody. Unchecked: its state is touched under its condition only.
    private final class Gate: @unchecked Sendable {
        private let condition = NSCondition()
        private var isShut = false

        func set(shut: Bool) {
            condition.withLock {
                isShut = shut
                condition.broadcast()
            }
        }

        func pass() {
            condition.withLock { while isShut { condition.wait() } }
        }
    }

    package init(to postgres: TestPostgres) throws {
        target = postgres.socket
        folder = NSTemporaryDirectory() + "/reenvio-relay-" + UUID().uuidString.prefix(8)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        let path = folder + "/" + TestPostgres.socketName
        guard Self.withAddress(path, { bind(listener, $0, $1) }) == 0, listen(listener, 512) == 0 else {
            throw TestPostgres.Failed(description: "no socket at \(path)")
        }
        Thread.detachNewThread { [listener, target, gate] in
            while true {
                let client = accept(listener, nil, nil)
                if client < 0 { return }
                Thread.detachNewThread { Self.carry(client, to: target, through: gate) }
            }
        }
    }

    package func stall() { gate.set(shut: true) }
    package func resume() { gate.set(shut: false) }

    deinit {
        gate.set(shut: false)
        shutdown(listener, CInt(SHUT_RDWR))
        close(listener)
        try? FileManager.default.removeItem(atPath: folder)
    }

    private static func carry(_ client: CInt, to target: String, through gate: Gate) {
        gate.pass()
        let server = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        guard withAddress(target, { connect(server, $0, $1) }) == 0 else {
            close(client)
            close(server)
            return
        }
        let back = DispatchGroup()
        back.enter()
        Thread.detachNewThread {
            copy(server, to: client, through: gate)
            back.leave()
        }
        copy(client, to: server, through: gate)
        back.wait()
        close(client)
        close(server)
    }

    private static func copy(_ from: CInt, to: CInt, through gate: Gate) {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = read(from, &buffer, buffer.count)
            if count <= 0 { break }
            gate.pass()
            var sent = 0
            while sent < count {
                let more = buffer[sent..<count].withUnsafeBytes {
                    send(to, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
                }
                if more <= 0 { break }
                sent += more
            }
            if sent < count { break }
        }
        shutdown(to, CInt(SHUT_WR))
        shutdown(from, CInt(SHUT_RD))
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) -> CInt {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix($0.count - 1)) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }
}
