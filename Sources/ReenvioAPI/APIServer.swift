package import Hummingbird
import HummingbirdCore
import HummingbirdTLS
package import Logging
package import NIOCore
package import NIOSSL
package import ReenvioEngine
import ReenvioModel

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

    private let engine: Engine
    private let readiness: Readiness

    package init(_ engine: Engine, readiness: Readiness) {
        self.engine = engine
        self.readiness = readiness
    }

    package var table: RouteTable {
        RouteTable(
            PayoutRoutes(engine).endpoints
                + ResendRoutes(engine).endpoints
                + HealthRoutes(readiness).endpoints
        )
    }

    package func router() -> Router<APIContext> {
        let authenticator = Authenticator(store: engine.store, clock: engine.clock)
        return Gateway(authenticator: authenticator).router(for: table)
    }

    /// The server as a service. `onListening` gets the address really bound.
    package func application(
        _ listening: Listening, on group: any EventLoopGroup, logger: Logger,
        onListening: @escaping @Sendable (SocketAddress?) async -> Void
    ) throws -> some ApplicationProtocol {
        let http = HTTPServerBuilder.http1(configuration: .init(idleTimeout: .seconds(75)))
        return Application(
            router: router(),
            server: try listening.tls.map { try .tls(http, tlsConfiguration: $0) } ?? http,
            configuration: ApplicationConfiguration(
                address: .hostname(listening.host, port: listening.port), serverName: nil, backlog: 1_024
            ),
            onServerRunning: { channel in await onListening(channel.localAddress) },
            eventLoopGroupProvider: .shared(group),
            logger: logger
        )
    }
}
