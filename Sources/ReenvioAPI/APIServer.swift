package import Hummingbird
import HummingbirdCore
import HummingbirdTLS
package import Logging
package import NIOCore
package import NIOSSL
package import ReenvioEngine
package import ReenvioModel

/// The table of contents of the API.
package struct APIServer: Sendable {
    /// Where and how the server listens.
    package struct Listening: Sendable {
        package var host: String
        package var port: Int
        package var tls: TLSConfiguration?

        package init(host: String, port: Int, tls: TLSConfiguration? = nil) {
            self.host = host
            self.port = port
            self.tls = tls
        }
    }

    /// What the settings say about callers.
    package struct Options: Sendable {
        package var rateLimits: RateLimits
        package var trustedProxies: [CIDR]
        package var publicURL: PublicURL
        /// Whether health, metrics and the dashboard have an address of their own (`docs/contract.md` 10).
        package var isSplit: Bool
        /// Version of the program, shown at `/`.
        package var version: String
        /// Raised when the server is told to stop: connections then end with their next answer.
        package var isDraining: Flag
        /// Bounds the connections of all listeners.
        package var connections: InboundConnections

        package init(
            rateLimits: RateLimits = .standard, trustedProxies: [CIDR] = [], publicURL: PublicURL = PublicURL(),
            isSplit: Bool = false, version: String = "", isDraining: Flag = Flag(),
            connections: InboundConnections = InboundConnections()
        ) {
            self.connections = connections
            self.isSplit = isSplit
            self.version = version
            self.isDraining = isDraining
            self.rateLimits = rateLimits
            self.trustedProxies = trustedProxies
            self.publicURL = publicURL
        }
    }

    private let engine: Engine
    private let readiness: Readiness
    private let options: Options
    private let tokens: AccessTokens
    private let audit = CollapsedAudit()
    /// One for all listeners: a credential does not have its limits twice.
    private let limiter: RateLimiter
    private let failedLogins: FailedLogins

    package init(_ engine: Engine, readiness: Readiness, options: Options = Options()) {
        self.engine = engine
        tokens = AccessTokens(store: engine.store, clock: engine.clock, entropy: engine.entropy)
        self.readiness = readiness
        self.options = options
        limiter = RateLimiter(options.rateLimits)
        failedLogins = FailedLogins(engine.failedAuthentications)
    }

    package var table: RouteTable {
        RouteTable(
            PayoutRoutes(engine, audit: audit).endpoints
                + PayoutListRoutes(engine, publicURL: options.publicURL, audit: audit).endpoints
                + DeliveryLogRoutes(engine).endpoints
                + CashInRoutes(engine, audit: audit).endpoints
                + ResendLogRoutes(engine).endpoints
                + ResendRoutes(engine, publicURL: options.publicURL).endpoints
                + BatchRoutes(engine, publicURL: options.publicURL).endpoints
                + LedgerRoutes(engine, publicURL: options.publicURL).endpoints
                + MerchantRoutes(engine).endpoints
                + MoveRoutes(engine, audit: audit).endpoints
                + LogRoutes(engine, publicURL: options.publicURL).endpoints
                + RegistrationRoutes(engine).endpoints
                + TokenRoutes(engine, tokens: tokens, limiter: limiter, audit: audit).endpoints
                + ReceiverRoutes(engine, publicURL: options.publicURL).endpoints
                + AuditRoutes(engine, publicURL: options.publicURL).endpoints
                + DescriptionRoutes().endpoints + rootRoutes(pages: options.isSplit ? "/docs" : SignIn.home).endpoints
                + (options.isSplit ? [] : operations)
        )
    }

    private func rootRoutes(pages: String) -> RootRoutes {
        RootRoutes(pages: pages, version: options.version, publicURL: options.publicURL)
    }

    /// For operators and what watches the server.
    private var operations: [Endpoint] {
        HealthRoutes(readiness).endpoints + MetricsRoutes(engine.metrics, isOpen: options.isSplit).endpoints
    }

    /// The checks before every endpoint.
    package var gateway: Gateway {
        Gateway(
            authenticator: Authenticator(store: engine.store, tokens: tokens, clock: engine.clock),
            limiter: limiter, failedLogins: failedLogins,
            clientAddress: ClientAddress(trustedProxies: options.trustedProxies), clock: engine.clock)
    }

    /// The pages for people, which call the same endpoints.
    package var dashboard: Dashboard {
        Dashboard(engine, endpoints: table, publicURL: options.publicURL, audit: audit)
    }

    package func router() -> Router<APIContext> {
        gateway.router(
            for: table, dashboard: options.isSplit ? nil : dashboard, publicURL: options.publicURL)
    }

    /// What stands on the address for operators, where there is one.
    package func adminRouter() -> Router<APIContext> {
        gateway.router(
            for: RouteTable(operations + rootRoutes(pages: SignIn.home).endpoints), dashboard: dashboard,
            publicURL: options.publicURL)
    }

    /// A router behind what every request passes first.
    package static func responder(_ router: Router<APIContext>) -> some HTTPResponder<APIContext> {
        HeadResponder(next: PathResponder(next: router.buildResponder()))
    }

    /// The server as a service. `onListening` gets the address really bound.
    package func application(
        _ listening: Listening, _ router: Router<APIContext>, on group: any EventLoopGroup, logger: Logger,
        onListening: @escaping @Sendable (SocketAddress?) async -> Void
    ) throws -> some ApplicationProtocol {
        let (isDraining, connections) = (options.isDraining, options.connections)
        let http = HTTPServerBuilder {
            HTTPChannel(responder: $0, isDraining: isDraining, connections: connections)
        }
        return Application(
            responder: Self.responder(router),
            server: try listening.tls.map { try .tls(http, tlsConfiguration: $0) } ?? http,
            configuration: ApplicationConfiguration(
                address: .hostname(listening.host, port: listening.port), serverName: nil, backlog: 1_024
            ),
            onServerRunning: { channel in
                try? await channel.eventLoop.submit {
                    try channel.pipeline.syncOperations.addHandler(AcceptGate(connections), position: .first)
                }.get()
                await onListening(channel.localAddress)
            },
            eventLoopGroupProvider: .shared(group),
            logger: logger
        )
    }
}
