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
        registry: MetricsRegistry = MetricsRegistry(), isDraining: Flag = Flag(), logger: Logger,
        onListening: @escaping @Sendable (Announcement.Addresses) async -> Void
    ) throws -> [any Service] {
        let group = MultiThreadedEventLoopGroup.singleton
        let policy = settings.addressPolicy(
            listening: OwnAddresses.all(of: settings.listen.host),
            administering: settings.adminListen.map { OwnAddresses.all(of: $0.host) } ?? [])
        let metrics = EngineMetrics(registry)
        let transport = try WireTransport(
            policy: policy, proxy: settings.egressProxy, trustRoots: settings.trustRoots,
            limits: WireLimits(openFiles: LocalResources.openFiles.soft), group: group,
            repeats: metrics.possibleDuplicates,
            shortages: ShortageLog(counters: metrics.senderShortages, logger: logger))
        let engine = Engine(
            store: store, transport: transport,
            options: EngineOptions(
                schedule: settings.retrySchedule, policy: policy, resendBacklogMax: settings.resendBacklog,
                retention: settings.retention, operatorHook: try operatorHook(settings, policy)
            ),
            clock: clock, entropy: SystemEntropy(), registry: registry, logger: logger
        )
        let readiness = Readiness(store: store, commits: engine.intake.commits, isDraining: isDraining)
        let publicURL = PublicURL(settings.publicURL)
        let options = APIServer.Options(
            rateLimits: settings.rateLimits, trustedProxies: settings.trustedProxies, publicURL: publicURL,
            isSplit: settings.adminListen != nil, version: Reenvio.version, isDraining: isDraining,
            connections: InboundConnections(
                limit: LocalResources.inboundConnections(openFiles: LocalResources.openFiles.soft),
                pauses: metrics.acceptPauses, logger: logger)
        )
        let api = APIServer(engine, readiness: readiness, options: options)
        let certificate = try settings.tlsFiles.map { try ServerCertificate($0.certificate, $0.key, logger: logger) }
        let listeners = try listeners(
            api, settings, publicURL, certificate, on: group, logger: logger, onListening: onListening)
        return engine.services(on: group, logger: logger)
            + [
                PollLoop(
                    ServerClock(store: store, clock: clock), clock: clock, on: group.any(), logger: logger),
                PollLoop(readiness, clock: clock, on: group.any(), logger: logger),
                PollLoop(
                    StoreWatch(files: store.engine.files, sharing: store.engine.sharing, logger: logger), clock: clock,
                    on: group.any(), logger: logger),
            ] + reload(certificate, clock, on: group, logger: logger) + listeners
    }

    private static func reload(
        _ certificate: ServerCertificate?, _ clock: SystemClock, on group: MultiThreadedEventLoopGroup, logger: Logger
    ) -> [any Service] {
        guard let certificate else { return [] }
        return [
            PollLoop(certificate, clock: clock, on: group.any(), logger: logger),
            CertificateReload(certificate: certificate),
        ]
    }

    /// The API, and what is for operators where that has an address of its own.
    private static func listeners(
        _ api: APIServer, _ settings: Settings, _ publicURL: PublicURL, _ certificate: ServerCertificate?,
        on group: MultiThreadedEventLoopGroup, logger: Logger,
        onListening: @escaping @Sendable (Announcement.Addresses) async -> Void
    ) throws -> [Listener] {
        // The HTTP server's own lines are noise below notice.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .notice)
        let announcement = Announcement(ofBoth: settings.adminListen != nil, onListening)
        func listener(
            at address: Settings.Address, _ router: Router<APIContext>,
            onBound: @escaping @Sendable (String) async -> Void
        ) throws -> Listener {
            let listening = APIServer.Listening(host: address.host, port: address.port, tls: certificate?.configuration)
            let server = try api.application(listening, router, on: group, logger: quiet) { bound in
                let real = Settings.Address(host: bound?.ipAddress ?? address.host, port: bound?.port ?? address.port)
                await onBound(real.text)
            }
            return Listener(server, at: address)
        }
        let own = try listener(at: settings.listen, api.router()) { address in
            publicURL.bound(address, isTLS: certificate != nil)
            await announcement.note(listening: address)
        }
        guard let admin = settings.adminListen else { return [own] }
        return [own, try listener(at: admin, api.adminRouter()) { await announcement.note(admin: $0) }]
    }

    private static func operatorHook(
        _ settings: Settings, _ policy: AddressPolicy
    ) throws -> OperatorHook.Target? {
        guard let url = settings.operatorWebhook, let secret = settings.operatorWebhookSecret else { return nil }
        return OperatorHook.Target(url: try ReceiverURL(parsing: url, policy: policy), secret: secret)
    }
}
