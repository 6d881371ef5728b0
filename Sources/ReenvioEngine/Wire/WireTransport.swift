package import NIOCore
import NIOPosix
package import ReenvioModel

/// HTTP/1.1 over NIO channels, for deliveries: a pool of kept-alive connections per merchant and origin, dialed to
/// judged addresses only (`docs/architecture.md` rule 10), on the clock of `docs/contract.md` 3.3.
package final class WireTransport: Transport {
    private let wire: Wire

    /// - Parameters:
    ///   - policy: which addresses may be dialed.
    ///   - trustRoots: a PEM file of certificate authorities beside the system's.
    ///   - group: the event loops; they belong to the caller.
    ///   - clock: tells an expired certificate from an untrusted one.
    ///   - lookup: how names become addresses; runs on threads of the resolver, never on an event loop.
    /// - Throws: when `trustRoots` cannot be read.
    package init(
        policy: AddressPolicy, trustRoots: String? = nil, limits: WireLimits = WireLimits(),
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, clock: any TimeSource = SystemClock(),
        lookup: @escaping Lookup = systemLookup
    ) throws {
        let dialer = Dialer(
            policy: policy, resolver: NameResolver(limits: limits, lookup: lookup),
            tls: try Dialer.tlsContext(trustRoots: trustRoots, limits: limits), limits: limits
        )
        wire = Wire(limits: limits, dialer: dialer, group: group, clock: clock)
        wire.startSweeping()
    }

    /// Connections open or being opened, and receivers with at least one.
    package var openConnections: Int { wire.openConnections }
    package var receiversKept: Int { wire.poolsKept }

    /// `then` is called on an event loop when the request was begun; it must not block.
    package func send(_ request: WireRequest, then: @escaping @Sendable (WireResult, Duration) -> Void) {
        let job = Job(request: request, then: then)
        guard RequestBytes.areSafe(request) else { return then(.failed(.connectionFailed), .zero) }
        guard request.startBy >= .now else { return then(.notStarted, .zero) }
        let key = ConnectionPool.Key(request)
        while let pool = wire.pool(for: key) {
            if pool.admit(job) { return }
            wire.strike(pool)
        }
        then(.notStarted, .zero)
    }

    package func shutdown() async {
        await wire.close()
    }
}
