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

    /// Makes the decoder ready for an answer: it wants to see a request head for every answer that it lets through.
    /// This one goes by it, and no further than the `Gate`.
    static func expectAnswer(_ context: ChannelHandlerContext) {
        context.write(NIOAny(passingHead), promise: nil)
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
        connection.answer = WireAnswer(
            statusCode: status, retryAfter: head.headers.first(name: "retry-after").map(Self.trimmed))
        connection.keepsAlive = head.isKeepAlive
    }

    /// The parser leaves the blanks behind a value.
    private static func trimmed(_ value: String) -> String {
        String(value.trimmingPrefix { $0 == " " || $0 == "\t" }.reversed().drop { $0 == " " || $0 == "\t" }.reversed())
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

/// Between network and parser: counts what comes in, reads plain answers itself, and hands the others to the parser.
/// Requests begin here, as the one buffer that each is.
private final class Gate: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = HTTPClientRequestPart
    typealias OutboundOut = ByteBuffer

    private let connection: Connection

    init(_ connection: Connection) {
        self.connection = connection
    }

    func handlerAdded(context: ChannelHandlerContext) {
        connection.network = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        connection.network = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch connection.phase {
        case .awaitingHead, .readingBody:
            let bytes = unwrapInboundIn(data)
            if connection.bytesRead == 0, readPlain(bytes) { return }
            if connection.bytesRead == 0 { connection.expectParsedAnswer() }
            connection.bytesRead += bytes.readableBytes
            context.fireChannelRead(data)
            // The parser bounds the fields of a head; this bounds the rest: status line, 1xx heads.
            if connection.phase == .awaitingHead, connection.bytesRead > connection.limits.headBytes {
                connection.fail(UnexpectedBytes())
            }
        case .answered, .idle: connection.fail(UnexpectedBytes())
        case .dialing, .closing, .closed: break
        }
    }

    /// The first bytes of an answer: nearly always they are all of it.
    private func readPlain(_ bytes: ByteBuffer) -> Bool {
        let answer = bytes.withUnsafeReadableBytes { PlainAnswer.read($0, limits: connection.limits) }
        guard let answer else { return false }
        connection.bytesRead = bytes.readableBytes
        connection.answer = answer
        connection.keepsAlive = true
        connection.phase = .answered
        return true
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        promise?.succeed()
    }
}
