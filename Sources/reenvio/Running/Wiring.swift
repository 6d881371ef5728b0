import Foundation
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import NIOSSL
import ReenvioAPI
import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ServiceLifecycle

/// The one place where the running server is put together.
enum Wiring {
    /// Everything `reenvio serve` runs, in the order in which the parts need each other; shutdown is the reverse: first
    /// no more requests, then what came in is committed, then what is in flight is recorded.
    static func services(
        settings: Settings, store: Store, clock: SystemClock = SystemClock(),
        registry: MetricsRegistry = MetricsRegistry(), logger: Logger,
        onListening: @escaping @Sendable (Announcement.Addresses) async -> Void
    ) throws -> [any Service] {
        let group = MultiThreadedEventLoopGroup.singleton
        let engine = try engine(
            settings: settings, store: store, clock: clock, on: group, registry: registry, logger: logger)
        let readiness = Readiness(store: store)
        // The HTTP server's own lines are noise below notice.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .notice)
        let publicURL = PublicURL(settings.publicURL)
        let options = APIServer.Options(
            rateLimits: settings.rateLimits, trustedProxies: settings.trustedProxies, publicURL: publicURL,
            isSplit: settings.adminListen != nil
        )
        let isTLS = settings.tlsCertificate != nil
        let api = APIServer(engine, readiness: readiness, options: options)
        let announcement = Announcement(ofBoth: settings.adminListen != nil, onListening)
        let tls = try tls(settings)
        func listener(
            at address: Settings.Address, _ router: Router<APIContext>,
            onBound: @escaping @Sendable (String) async -> Void
        ) throws -> Listener {
            let listening = APIServer.Listening(host: address.host, port: address.port, tls: tls)
            let server = try api.application(listening, router, on: group, logger: quiet) { bound in
                let real = Settings.Address(host: bound?.ipAddress ?? address.host, port: bound?.port ?? address.port)
                await onBound(real.text)
            }
            return Listener(server, at: address)
        }
        var listeners = [
            try listener(at: settings.listen, api.router()) { address in
                publicURL.bound(address, isTLS: isTLS)
                await announcement.note(listening: address)
            }
        ]
        if let admin = settings.adminListen {
            listeners.append(
                try listener(at: admin, api.adminRouter()) { await announcement.note(admin: $0) })
        }
        let parts: [any Stepping] = [ServerClock(store: store, clock: clock), readiness]
        return engine.services(on: group, logger: logger)
            + parts.map { PollLoop($0, clock: clock, on: group.any(), logger: logger) } + listeners
    }

    private static func engine(
        settings: Settings, store: Store, clock: SystemClock, on group: MultiThreadedEventLoopGroup,
        registry: MetricsRegistry, logger: Logger
    ) throws -> Engine {
        let policy = settings.addressPolicy(
            listening: OwnAddresses.all(of: settings.listen.host),
            administering: settings.adminListen.map { OwnAddresses.all(of: $0.host) } ?? [])
        let transport = try WireTransport(
            policy: policy, proxy: settings.egressProxy, trustRoots: settings.trustRoots, group: group,
            repeats: EngineMetrics(registry).possibleDuplicates)
        return Engine(
            store: store, transport: transport,
            options: EngineOptions(
                schedule: settings.retrySchedule, policy: policy, resendBacklogMax: settings.resendBacklog,
                retention: settings.retention
            ),
            clock: clock, entropy: SystemEntropy(), registry: registry, logger: logger
        )
    }

    private static func tls(_ settings: Settings) throws -> TLSConfiguration? {
        guard let certificate = settings.tlsCertificate, let key = settings.tlsKey else { return nil }
        return TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        )
    }
}
