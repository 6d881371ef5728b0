package import Metrics
package import NIOCore
import NIOPosix
package import ReenvioModel
package import ReenvioStore

/// HTTP/1.1 over NIO channels, for deliveries: a pool of kept-alive connections per merchant and origin, dialed to
/// judged addresses only (`docs/architecture.md` rule 10), on the clock of `docs/contract.md` 3.3.
package final class WireTransport: Transport {
    private let wire: Wire

    /// - Parameters:
    ///   - policy: which addresses may be dialed.
    ///   - proxy: what every connection is made through; nil for none.
    ///   - trustRoots: a PEM file of certificate authorities beside the system's.
    ///   - group: the event loops; they belong to the caller.
    ///   - clock: tells an expired certificate from an untrusted one.
    ///   - repeats: counts requests that are sent once more because a kept connection was lost under them.
    ///   - shortages: takes note of attempts that this machine could not make.
    ///   - lookup: how names become addresses; runs on threads of the resolver, never on an event loop.
    ///   - startThread: where the threads of the resolver come from.
    /// - Throws: when `trustRoots` cannot be read.
    package init(
        policy: AddressPolicy, proxy: EgressProxy? = nil, trustRoots: String? = nil,
        limits: WireLimits = WireLimits(),
        group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton, clock: any TimeSource = SystemClock(),
        repeats: Counter? = nil, shortages: ShortageLog? = nil,
        lookup: @escaping Lookup = systemLookup,
        startThread: @escaping NameResolver.StartThread = SystemThread.start
    ) throws {
        let dialer = Dialer(
            policy: policy, resolver: NameResolver(limits: limits, lookup: lookup, startThread: startThread),
            tls: try Dialer.makeTLSContext(trustRoots: trustRoots, limits: limits), limits: limits, proxy: proxy
        )
        wire = Wire(
            limits: limits, dialer: dialer, group: group, clock: clock, repeats: repeats, shortages: shortages)
        wire.startSweeping()
    }

    /// Connections open or being opened, and receivers with at least one.
    package var openConnections: Int { wire.openConnections }
    package var receiversKept: Int { wire.poolsKept }

    /// A job that was begun ends on an event loop; what it calls must not block.
    package func send(_ jobs: [Job]) {
        let now = ContinuousClock.now
        var run: [Job] = []
        var runKey: ConnectionPool.Key?
        for job in jobs {
            guard RequestBytes.areSafe(job.request) else {
                job.end(.failed(.connectionFailed), now: now)
                continue
            }
            guard job.request.startBy >= now else {
                job.end(.notStarted, now: now)
                continue
            }
            let key = ConnectionPool.Key(job.request)
            if key != runKey {
                if let runKey { admit(run, to: runKey) }
                run.removeAll(keepingCapacity: true)
                runKey = key
            }
            run.append(job)
        }
        if let runKey { admit(run, to: runKey) }
    }

    private func admit(_ jobs: [Job], to key: ConnectionPool.Key) {
        while let pool = wire.pool(for: key) {
            if pool.admit(jobs) { return }
            wire.strike(pool)
        }
        for job in jobs { job.end(.notStarted, now: .now) }
    }

    package func shutdown() async {
        await wire.close()
    }
}
