import NIOCore
import NIOPosix

/// An honest HTTP proxy on a real socket: makes the tunnel that a CONNECT asks for, and keeps what it was asked.
/// It connects to literal addresses only. For dishonest ones a `RudeReceiver` stands in.
package final class TunnelProxy: Sendable {
    package struct Log: Sendable {
        package var accepted = 0
        package var open = 0
        /// The target of each CONNECT, as it stood in the request line.
        package var targets: [String] = []
        /// Each request head, up to the blank line.
        package var heads: [String] = []
    }

    package let port: Int
    package let log: Watched<Log>
    private let listener: any Channel

    private init(listener: any Channel, log: Watched<Log>) {
        self.listener = listener
        self.log = log
        port = listener.localAddress?.port ?? 0
    }

    /// `answer` is what it says to the CONNECT for a target in place of a tunnel; nil for a tunnel.
    package static func start(
        host: String = "127.0.0.1", answer: @escaping @Sendable (_ target: String) -> String? = { _ in nil }
    ) async throws -> TunnelProxy {
        let log = Watched(Log())
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    log.change { log in
                        log.accepted += 1
                        log.open += 1
                    }
                    channel.closeFuture.whenComplete { _ in log.change { $0.open -= 1 } }
                    try channel.pipeline.syncOperations.addHandler(ConnectHandler(log: log, answer: answer))
                }
            }
            .bind(host: host, port: 0).get()
        return TunnelProxy(listener: listener, log: log)
    }

    package func stop() async throws {
        try await listener.close()
    }
}

/// Reads a CONNECT, then carries bytes both ways; lives on its channel's event loop, and so does the other connection.
private final class ConnectHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let log: Watched<TunnelProxy.Log>
    private let answer: @Sendable (String) -> String?
    private var head = ""
    private var target: (any Channel)?

    init(log: Watched<TunnelProxy.Log>, answer: @escaping @Sendable (String) -> String?) {
        self.log = log
        self.answer = answer
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        if let target { return target.writeAndFlush(bytes, promise: nil) }
        head += String(decoding: bytes.readableBytesView, as: UTF8.self)
        guard head.hasSuffix("\r\n\r\n") else { return }
        let asked = head.split(separator: " ").dropFirst().first.map(String.init) ?? ""
        log.change { [head] log in
            log.targets.append(asked)
            // CR LF is one character.
            log.heads.append(String(head.dropLast(2)))
        }
        head = ""
        if let answer = answer(asked) { return say(answer, context) }
        guard let colon = asked.lastIndex(of: ":"), let port = Int(asked[asked.index(after: colon)...]),
            let address = try? SocketAddress(
                ipAddress: asked[..<colon].filter { $0 != "[" && $0 != "]" }, port: port)
        else { return say("HTTP/1.1 400 Not an address\r\n\r\n", context) }
        connect(to: address, context)
    }

    private func connect(to address: SocketAddress, _ context: ChannelHandlerContext) {
        let client = context.channel
        ClientBootstrap(group: context.eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(Carrier(to: client))
                }
            }
            .connect(to: address).assumeIsolated().whenComplete { result in
                guard case .success(let target) = result else {
                    return self.say("HTTP/1.1 502 Bad Gateway\r\n\r\n", context)
                }
                self.target = target
                self.say("HTTP/1.1 200 Connection established\r\nproxy-agent: test\r\n\r\n", context)
            }
    }

    private func say(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        target?.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

/// The way back.
private final class Carrier: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let client: any Channel

    init(to client: any Channel) {
        self.client = client
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        client.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        client.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
