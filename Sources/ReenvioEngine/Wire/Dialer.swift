import NIOCore
import NIOPosix
import NIOSSL
import ReenvioModel

/// Opens connections to judged addresses and to nothing else (`docs/architecture.md` rule 10): resolve, judge every
/// address, connect to the first of them that takes it (`AddressRace`), compare the peer. TLS begins after that. With a
/// proxy, what is judged is the same, and the proxy is asked for a tunnel to a judged address
/// (`docs/decisions/0004-egress-proxy.md`).
struct Dialer: Sendable {
    let policy: AddressPolicy
    let resolver: NameResolver
    /// Verifies the chain of a certificate; its names are ours to compare.
    let tls: NIOSSLContext
    let limits: WireLimits
    let proxy: EgressProxy?

    /// TLS 1.2 or newer, against the system's roots and those of the PEM file `trustRoots`.
    static func makeTLSContext(trustRoots: String?, limits: WireLimits) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = .noHostnameVerification
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
            race(to: addresses, on: loop) { address, contender in
                guard let proxy else { return open(address, port: url.port, on: loop, by: deadline, contender) }
                return tunnel(
                    to: address, port: url.port, through: proxy, for: merchantID, on: loop, by: deadline, contender)
            }.run()
        }
    }

    /// What was learned of the names on the way to `url` is asked for anew by the next dial.
    func forgetNames(of url: ReceiverURL.Host) {
        for case .name(let name)? in [url, proxy?.host] { resolver.renew(name) }
    }

    private func race(
        to addresses: [IPAddress], on loop: any EventLoop, open: @escaping AddressRace.Open
    ) -> AddressRace {
        AddressRace(addresses, atMost: limits.addressesTried, every: limits.addressEvery, on: loop, open: open)
    }

    /// The handler that speaks TLS with the host that the URL names: by SNI and the certificate's DNS names, or for a
    /// literal address by the certificate's addresses, without SNI.
    func makeTLSHandler(for url: ReceiverURL) throws -> NIOSSLClientHandler {
        let name: String? = if case .name(let name) = url.host { name } else { nil }
        // NIOSSL would compare a certificate's addresses with the peer's, which may be a proxy's, accept one of those
        // even where a name was asked for, and a bare common name, and refuse a wildcard for an A-label. Only what the
        // URL says counts here. Nothing of the request goes out before this is decided.
        return try NIOSSLClientHandler._makeSSLClientHandler(context: tls, serverHostname: name) {
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
        return addresses.flatMapErrorThrowing { error in
            if let shortage = error as? SenderShortage { throw DialFailure(shortage) }
            throw DialFailure(reason: .nameNotResolved)
        }.flatMapThrowing { addresses in
            guard addresses.allSatisfy({ policy.permits($0, port: url.port) }) else {
                throw DialFailure(reason: .addressForbidden)
            }
            return addresses
        }
    }

    /// A tunnel through the proxy to a judged address. Where the proxy cannot be reached it is `connection_failed`,
    /// whatever the reason: none of them says anything of the receiver.
    private func tunnel(
        to address: IPAddress, port: UInt16, through proxy: EgressProxy, for merchantID: Int64,
        on loop: any EventLoop, by deadline: ContinuousClock.Instant, _ contender: AddressRace.Contender
    ) -> EventLoopFuture<any Channel> {
        let own: EventLoopFuture<[IPAddress]> =
            switch proxy.host {
            case .address(let address): loop.makeSucceededFuture([address])
            case .name(let name): resolver.addresses(of: name, for: merchantID, on: loop)
            }
        let contender = NIOLoopBound(contender, eventLoop: loop)
        return own.flatMap { own in
            let race = race(to: own, on: loop) { proxyAddress, contender in
                open(proxyAddress, port: proxy.port, on: loop, by: deadline, contender)
            }
            contender.value.adopt(race)
            return race.run()
        }.flatMapErrorThrowing { error -> any Channel in
            let failure = DialFailure(error)
            if failure.shortage != nil { throw failure }
            throw DialFailure(reason: failure.reason == .timedOut ? .timedOut : .connectionFailed)
        }.flatMap { channel in
            contender.value.adopt(channel)
            return Tunnel.open(
                through: channel, to: address, port: port, proxy: proxy, headBytes: limits.headBytes,
                within: deadline - .now)
        }
    }

    /// Opens a socket to exactly that address.
    private func open(
        _ address: IPAddress, port: UInt16, on loop: any EventLoop, by deadline: ContinuousClock.Instant,
        _ contender: AddressRace.Contender
    ) -> EventLoopFuture<any Channel> {
        let left = deadline - .now
        guard left > .zero else { return loop.makeFailedFuture(DialFailure(reason: .timedOut)) }
        // Whatever used them up, the last descriptors are not ours: libdispatch ends the process where it finds none.
        guard !LocalResources.areDescriptorsShort else { return loop.makeFailedFuture(DialFailure(.descriptors)) }
        let contender = NIOLoopBound(contender, eventLoop: loop)
        return loop.makeCompletedFuture {
            try SocketAddress(packedIPAddress: ByteBuffer(bytes: address.bytes), port: Int(port))
        }.flatMap { judged in
            ClientBootstrap(group: loop)
                .channelOption(.autoRead, value: false)
                .channelOption(.tcpOption(.tcp_nodelay), value: 1)
                .channelOption(
                    .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 512, initial: 2048, maximum: 16_384)
                )
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { contender.value.adopt(channel) }
                }
                .connectTimeout(TimeAmount(left))
                .connect(to: judged)
                .flatMapErrorThrowing { error -> any Channel in
                    if let shortage = WireFailure.shortage(behind: error, connectingTo: judged) { throw shortage }
                    throw error
                }
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
