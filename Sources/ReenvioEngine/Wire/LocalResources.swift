import Foundation
import NIOCore
import ReenvioModel

/// What the system gives to this process, asked for where an error alone does not say whose fault it is.
package enum LocalResources {
    /// Descriptors that deliveries never take: for the store, for callers, and for libdispatch, which reads files about
    /// its threads every second and crashes without a descriptor.
    private static let descriptorsLeft = 32

    /// The limit of open files of this process: what holds now, and what it may be raised to.
    package static var openFiles: (soft: UInt64, hard: UInt64) {
        var limit = rlimit()
        guard getrlimit(noFile, &limit) == 0 else { return (.max, .max) }
        return (UInt64(limit.rlim_cur), UInt64(limit.rlim_max))
    }

    /// Raises the soft limit of open files to the hard one, and returns what holds then.
    @discardableResult
    package static func raiseOpenFiles() -> UInt64 {
        var limit = rlimit()
        guard getrlimit(noFile, &limit) == 0 else { return .max }
        limit.rlim_cur = limit.rlim_max
        setrlimit(noFile, &limit)
        return openFiles.soft
    }

    /// The maximum of inbound connections for a limit of open files: what `WireLimits` leaves, minus the store's share.
    package static func inboundConnections(openFiles: UInt64) -> Int {
        let left = Int(clamping: openFiles) - WireLimits(openFiles: openFiles).connections
        return max(16, left - Limits.descriptorsOfStore)
    }

    /// Whether the process has hardly a descriptor left. Three cheap calls of the system.
    package static var areDescriptorsShort: Bool {
        let probe = socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)
        guard probe >= 0 else { return errno == EMFILE || errno == ENFILE }
        close(probe)
        let soft = openFiles.soft
        return soft < UInt64(CInt.max) && Int(probe) + descriptorsLeft >= Int(soft)
    }

    /// Whether this machine has an address to call `address` from: then a connect that found none lacked a port.
    /// A datagram socket has ports of its own, and connecting it sends nothing.
    static func hasSource(for address: SocketAddress) -> Bool {
        let family = address.protocol == .inet6 ? AF_INET6 : AF_INET
        let probe = socket(family, CInt(SOCK_DGRAM.rawValue), 0)
        guard probe >= 0 else { return true }
        defer { close(probe) }
        return address.withSockAddr { connect(probe, $0, socklen_t($1)) } == 0
    }

    private static var noFile: __rlimit_resource_t { __rlimit_resource_t(RLIMIT_NOFILE.rawValue) }
}
