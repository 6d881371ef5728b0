import NIOCore
import NIOPosix
import NIOSSL
import ReenvioModel

/// Why no connection came about.
struct DialFailure: Error {
    var reason: AttemptFailure
}

/// Opens connections to judged addresses and to nothing else (`docs/architecture.md` rule 10): resolve, judge every
/// address, connect to one of them by number, compare the peer. TLS begins after that.
struct Dialer: Sendable {
    let policy: AddressPolicy
    let resolver: NameResolver
    let tls: NIOSSLContext
    let limits: WireLimits

    /// TLS 1.2 or newer, full verification against the system's roots and those of the PEM file `trustRoots`.
    static func tlsContext(trustRoots: String?, limits: WireLimits) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = .fullVerification
        configuration.shutdownTimeout = TimeAmount(limits.farewell)
        if let trustRoots { configuration.additionalTrustRoots = [.file(trustRoots)] }
        return try NIOSSLContext(configuration: configuration)
    }

    /// A connected channel that does not read yet and has no handlers; fails with `DialFailure` only.
    /// Ends by `deadline`, a connect time-out's grain apart.
    func connect(
        to url: ReceiverURL, for merchantID: Int64, on loop: any EventLoop, by deadline: ContinuousClock.Instant
    ) -> EventLoopFuture<any Channel> {
        judgedAddresses(of: url, for: merchantID, on: loop).flatMap { addresses in
            connect(to: addresses.prefix(limits.addressesTried), port: url.port, on: loop, by: deadline, failed: nil)
        }
    }

    /// The handler that speaks TLS with the host that the URL names: by SNI and the certificate's DNS names, or for a
    /// literal address by the certificate's addresses, without SNI.
    func makeTLSHandler(for url: ReceiverURL) throws -> NIOSSLClientHandler {
        guard case .name(let name) = url.host else { return try NIOSSLClientHandler(context: tls, serverHostname: nil) }
        // NIOSSL accepts a certificate for the peer's address even when a name was asked for, and a bare common name.
        // Whoever controls the answer of a name server controls that address, so only a DNS name counts here. Nothing
        // of the request goes out before this is decided.
        return try NIOSSLClientHandler._makeSSLClientHandler(context: tls, serverHostname: name) {
            certificate, channel in
            channel.eventLoop.makeCompletedFuture {
                guard CertificateNames.of(certificate, cover: name) else { throw WrongHost() }
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
        to addresses: ArraySlice<IPAddress>, port: UInt16, on loop: any EventLoop,
        by deadline: ContinuousClock.Instant, failed: AttemptFailure?
    ) -> EventLoopFuture<any Channel> {
        guard let address = addresses.first else {
            return loop.makeFailedFuture(DialFailure(reason: failed ?? .nameNotResolved))
        }
        let left = deadline - .now
        guard left > .zero else { return loop.makeFailedFuture(DialFailure(reason: .timedOut)) }
        return connect(to: address, port: port, on: loop, within: left / addresses.count).flatMapError { error in
            let dialing = error as? DialFailure
            guard dialing?.reason != .addressForbidden else { return loop.makeFailedFuture(error) }
            let reason = dialing?.reason ?? WireFailure.connectReason(of: error)
            // `connection_failed` (no route, no such family) says less than what another address answered.
            let telling = failed == nil || failed == .connectionFailed ? reason : failed
            return connect(to: addresses.dropFirst(), port: port, on: loop, by: deadline, failed: telling)
        }
    }

    private func connect(
        to address: IPAddress, port: UInt16, on loop: any EventLoop, within limit: Duration
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
