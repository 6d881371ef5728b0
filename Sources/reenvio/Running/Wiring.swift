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
        let listeners = try listeners(api, settings, publicURL, on: group, logger: logger, onListening: onListening)
        return engine.services(on: group, logger: logger)
            + [
                PollLoop(
                    ServerClock(store: store, clock: clock), clock: clock, on: group.any(), logger: logger),
                PollLoop(readiness, clock: clock, on: group.any(), logger: logger),
                PollLoop(
                    StoreWatch(files: store.engine.files, logger: logger), clock: clock, on: group.any(), logger: logger
                ),
            ] + listeners
    }

    /// The API, and what is for operators where that has an address of its own.
    private static func listeners(
        _ api: APIServer, _ settings: Settings, _ publicURL: PublicURL, on group: MultiThreadedEventLoopGroup,
        logger: Logger, onListening: @escaping @Sendable (Announcement.Addresses) async -> Void
    ) throws -> [Listener] {
        // The HTTP server's own lines are noise below notice.
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .notice)
        let announcement = Announcement(ofBoth: settings.adminListen != nil, onListening)
        let isTLS = settings.tlsCertificate != nil
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
        let own = try listener(at: settings.listen, api.router()) { address in
            publicURL.bound(address, isTLS: isTLS)
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

    /// For TLS 1.2: forward secrecy and authenticated encryption only (RFC 9325, 4.2). TLS 1.3 has nothing else.
    private static let tls12Suites = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")

    private static func tls(_ settings: Settings) throws -> TLSConfiguration? {
        guard let certificate = settings.tlsCertificate, let key = settings.tlsKey else { return nil }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
        )
        configuration.minimumTLSVersion = .tlsv12
        configuration.cipherSuites = tls12Suites
        return configuration
    }
}
