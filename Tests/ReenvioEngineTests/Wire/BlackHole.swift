import Foundation
import Testing

/// A socket on 127.0.0.3 that listens but has no room for another connection: the kernel drops what comes.
final class BlackHole {
    private var sockets: [CInt] = []

    init(port: UInt16) throws {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0003).bigEndian
        try withUnsafePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                let length = socklen_t(MemoryLayout<sockaddr_in>.size)
                let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
                sockets.append(listener)
                try #require(bind(listener, pointer, length) == 0)
                try #require(listen(listener, 0) == 0)
                for _ in 1...4 {
                    let filler = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue), 0)
                    sockets.append(filler)
                    _ = connect(filler, pointer, length)
                }
            }
        }
    }

    deinit {
        for socket in sockets { close(socket) }
    }
}
