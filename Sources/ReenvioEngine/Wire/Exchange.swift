import NIOCore
import NIOHTTP1
import ReenvioModel

/// Reads the answers on a connection: NIOHTTP1 parses, this counts and decides (`docs/contract.md` 3.3).
final class Exchange: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let connection: Connection

    private init(_ connection: Connection) {
        self.connection = connection
    }

    /// What stands behind TLS in the pipeline, from the network inwards.
    static func handlers(for connection: Connection) -> [any ChannelHandler] {
        var bounds = NIOHTTPDecoderLimitConfiguration()
        bounds.maxHeaderListSize = connection.limits.headBytes
        bounds.maxHeaderFieldSize = connection.limits.headBytes
        bounds.maxHeaderFieldCount = connection.limits.headFields
        let decoder = HTTPResponseDecoder(informationalResponseStrategy: .forward, limitConfiguration: bounds)
        return [Gate(connection), ByteToMessageHandler(decoder), Exchange(connection)]
    }

    /// Sends the request. The decoder wants to see a request head for every answer that it lets through: this one goes
    /// by it, and the `Gate` puts the bytes of the request in its place.
    static func write(to context: ChannelHandlerContext) {
        context.writeAndFlush(NIOAny(passingHead), promise: nil)
    }

    private static let passingHead = HTTPClientRequestPart.head(
        HTTPRequestHead(version: .http1_1, method: .POST, uri: "/")
    )

    func handlerAdded(context: ChannelHandlerContext) {
        connection.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        connection.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): read(head)
        case .body(let bytes): read(bytes)
        case .end: readEnd()
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        switch connection.phase {
        case .answered: connection.proceed()
        case .readingBody where !connection.isBodyTimed: connection.timeBody()
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        connection.fail(error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        connection.disconnected()
    }

    private func read(_ head: HTTPResponseHead) {
        guard connection.phase == .awaitingHead else { return connection.fail(UnexpectedBytes()) }
        let status = Int(head.status.code)
        if (100..<200).contains(status) {
            connection.interimHeads += 1
            // 101 answers an upgrade that nobody asked for.
            guard status != 101, connection.interimHeads <= connection.limits.interimHeads else {
                return connection.fail(UnexpectedBytes())
            }
            return
        }
        connection.phase = .readingBody
        connection.answer = WireAnswer(statusCode: status, retryAfter: head.headers.first(name: "retry-after"))
        connection.keepsAlive = head.isKeepAlive
    }

    private func read(_ bytes: ByteBuffer) {
        guard connection.phase == .readingBody else { return }
        connection.bodyBytesRead += bytes.readableBytes
        let room = connection.limits.answerBytesKept - connection.answer.body.count
        if room > 0 { connection.answer.body.append(contentsOf: bytes.readableBytesView.prefix(room)) }
        guard connection.bodyBytesRead > connection.limits.bodyBytes else { return }
        connection.end(.answered(connection.answer))
        connection.close()
    }

    private func readEnd() {
        guard connection.phase == .readingBody else { return }
        connection.phase = .answered
    }
}

/// Bytes that are no answer to anything: more than a head may have, or when nothing was asked.
struct UnexpectedBytes: Error {}

/// Between network and parser: counts what comes in, and writes a request as the one buffer that it is.
private final class Gate: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = ByteBuffer

    private let connection: Connection

    init(_ connection: Connection) {
        self.connection = connection
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch connection.phase {
        case .awaitingHead, .readingBody:
            connection.bytesRead += unwrapInboundIn(data).readableBytes
            context.fireChannelRead(data)
            // The parser bounds the fields of a head; this bounds the rest: status line, 1xx heads.
            if connection.phase == .awaitingHead, connection.bytesRead > connection.limits.headBytes {
                connection.fail(UnexpectedBytes())
            }
        case .answered, .idle: connection.fail(UnexpectedBytes())
        case .dialing, .closing, .closed: break
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard let request = connection.takeRequestBytes() else {
            promise?.succeed()
            return
        }
        context.write(wrapOutboundOut(request), promise: promise)
    }
}
