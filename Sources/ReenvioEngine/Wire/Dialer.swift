import NIOCore
import NIOPosix
import NIOSSL
import ReenvioModel

/// Why no connection came about.
struct DialFailure: Error {
    var reason: AttemptFailure
}

/// Opens connections to judged addresses and to nothing else (`docs/architecture.md` rule 10): resolve, judge every
/// address, connect to one of them by number, compare the peer. TLS begins after that. With a proxy, what is judged is
/// the same, and the proxy is asked for a tunnel to a judged address (`docs/decisions/0004-egress-proxy.md`).
struct Dialer: Sendable {
    /// Certificate chains are verified by both; the name by NIOSSL too where there is one.
    struct TLSContexts {
        let named: NIOSSLContext
        let numbered: NIOSSLContext

        /// TLS 1.2 or newer, against the system's roots and those of the PEM file `trustRoots`.
        init(trustRoots: String?, limits: WireLimits) throws {
            var configuration = TLSConfiguration.makeClientConfiguration()
            configuration.minimumTLSVersion = .tlsv12
            configuration.certificateVerification = .fullVerification
            configuration.shutdownTimeout = TimeAmount(limits.farewell)
            if let trustRoots { configuration.additionalTrustRoots = [.file(trustRoots)] }
            named = try NIOSSLContext(configuration: configuration)
            configuration.certificateVerification = .noHostnameVerification
            numbered = try NIOSSLContext(configuration: configuration)
        }
    }

    let policy: AddressPolicy
    let resolver: NameResolver
    let tls: TLSContexts
    let limits: WireLimits
    let proxy: EgressProxy?

    /// A connected channel that does not read yet and has no handlers; fails with `DialFailure` only.
    /// Ends by `deadline`, a connect time-out's grain apart.
    func connect(
        to url: ReceiverURL, for merchantID: Int64, on loop: any EventLoop, by deadline: ContinuousClock.Instant
    ) -> EventLoopFuture<any Channel> {
        judgedAddresses(of: url, for: merchantID, on: loop).flatMap { addresses in
            connect(to: addresses.prefix(limits.addressesTried), on: loop, by: deadline, failed: nil) {
                address, limit in
                guard let proxy else { return open(address, port: url.port, on: loop, within: limit) }
                return tunnel(to: address, port: url.port, through: proxy, for: merchantID, on: loop, within: limit)
            }
        }
    }

    /// The handler that speaks TLS with the host that the URL names: by SNI and the certificate's DNS names, or for a
    /// literal address by the certificate's addresses, without SNI.
    func makeTLSHandler(for url: ReceiverURL) throws -> NIOSSLClientHandler {
        let (context, name): (NIOSSLContext, String?) =
            switch url.host {
            case .name(let name): (tls.named, name)
            case .address: (tls.numbered, nil)
            }
        // NIOSSL compares a certificate's addresses with the peer's, which may be a proxy's, accepts one of those even
        // where a name was asked for, and a bare common name. Whoever controls the answer of a name server controls the
        // peer, so only what the URL says counts here. Nothing of the request goes out before this is decided.
        return try NIOSSLClientHandler._makeSSLClientHandler(context: context, serverHostname: name) {
            [host = url.host] certificate, channel in
            channel.eventLoop.makeCompletedFuture {
                guard CertificateNames.of(certificate, cover: host) else { throw WrongHost() }
            }
        }
    }

    /// All addresses of the URL's host, or `address_forbidden` if any of them is.
    private func judgedAddresses(
        of url: ReceiverURL, for merchantID: Int64, on loop: any EventLoop
    ) -> EventLoopFuture<[IPAddress]> {
        let addresses: EventLoopFuture<[IPAddress]> =
            switch url.host {
            case .address(let address): loop.makeSucceededFuture([address])
            case .name(let name): resolver.addresses(of: name, for: merchantID, on: loop)
            }
        return addresses.flatMapErrorThrowing { _ in
            throw DialFailure(reason: .nameNotResolved)
        }.flatMapThrowing { addresses in
            guard addresses.allSatisfy({ policy.permits($0, port: url.port) }) else {
                throw DialFailure(reason: .addressForbidden)
            }
            return addresses
        }
    }

    /// Tries the addresses one after the other; each gets its share of the time that is left.
    private func connect(
        to addresses: ArraySlice<IPAddress>, on loop: any EventLoop, by deadline: ContinuousClock.Instant,
        failed: AttemptFailure?,
        _ open: @escaping @Sendable (IPAddress, _ limit: Duration) -> EventLoopFuture<any Channel>
    ) -> EventLoopFuture<any Channel> {
        guard let address = addresses.first else {
            return loop.makeFailedFuture(DialFailure(reason: failed ?? .nameNotResolved))
        }
        let left = deadline - .now
        guard left > .zero else { return loop.makeFailedFuture(DialFailure(reason: .timedOut)) }
        return open(address, left / addresses.count).flatMapError { error in
            let dialing = error as? DialFailure
            guard dialing?.reason != .addressForbidden else { return loop.makeFailedFuture(error) }
            let reason = dialing?.reason ?? WireFailure.connectReason(of: error)
            // `connection_failed` (no route, no such family) says less than what another address answered.
            let telling = failed == nil || failed == .connectionFailed ? reason : failed
            return connect(to: addresses.dropFirst(), on: loop, by: deadline, failed: telling, open)
        }
    }

    /// A tunnel through the proxy to a judged address. Where the proxy cannot be reached it is `connection_failed`,
    /// whatever the reason: none of them says anything of the receiver.
    private func tunnel(
        to address: IPAddress, port: UInt16, through proxy: EgressProxy, for merchantID: Int64,
        on loop: any EventLoop, within limit: Duration
    ) -> EventLoopFuture<any Channel> {
        let deadline = ContinuousClock.now + limit
        let own: EventLoopFuture<[IPAddress]> =
            switch proxy.host {
            case .address(let address): loop.makeSucceededFuture([address])
            case .name(let name): resolver.addresses(of: name, for: merchantID, on: loop)
            }
        return own.flatMap { own in
            connect(to: own.prefix(limits.addressesTried), on: loop, by: deadline, failed: nil) { proxyAddress, limit in
                open(proxyAddress, port: proxy.port, on: loop, within: limit)
            }
        }.flatMapErrorThrowing { error in
            let isLate = (error as? DialFailure)?.reason == .timedOut
            throw DialFailure(reason: isLate ? .timedOut : .connectionFailed)
        }.flatMap { channel in
            Tunnel.open(
                through: channel, to: address, port: port, proxy: proxy, headBytes: limits.headBytes,
                within: deadline - .now)
        }
    }

    /// Opens a socket to exactly that address.
    private func open(
        _ address: IPAddress, port: UInt16, on loop: any EventLoop, within limit: Duration
    ) -> EventLoopFuture<any Channel> {
        loop.makeCompletedFuture {
            try SocketAddress(packedIPAddress: ByteBuffer(bytes: address.bytes), port: Int(port))
        }.flatMap { judged in
            ClientBootstrap(group: loop)
                .channelOption(.autoRead, value: false)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelOption(
                    .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2048, maximum: 16_384)
                )
                .connectTimeout(TimeAmount(limit))
                .connect(to: judged)
                .flatMapThrowing { channel in
                    guard channel.remoteAddress == judged else {
                        channel.close(promise: nil)
                        throw DialFailure(reason: .addressForbidden)
                    }
                    return channel
                }
        }
    }
}
