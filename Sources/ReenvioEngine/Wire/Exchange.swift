import NIOCore

/// Reads the answers on a connection, behind TLS in its pipeline (`docs/contract.md` 3.3): plain ones at once, the
/// others as they come in. Requests leave through it as they are.
final class Exchange: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
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
        case .awaitingHead, .readingHead, .readingBody: read(unwrapInboundIn(data))
        case .answered, .idle: connection.fail(UnexpectedBytes())
        case .dialing, .closing, .closed: break
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

    private func read(_ bytes: ByteBuffer) {
        if connection.bytesRead == 0, readPlain(bytes) { return }
        connection.bytesRead += bytes.readableBytes
        bytes.withUnsafeReadableBytes { connection.reader.read($0) }
        switch connection.reader.state {
        case .awaitingStatus: break
        case .readingHead: connection.phase = .readingHead
        case .readingBody: connection.phase = .readingBody
        case .complete:
            connection.keepsAlive = connection.reader.keepsAlive
            connection.phase = .answered
        case .broken: connection.fail(UnexpectedBytes())
        }
    }

    /// The first bytes of an answer: nearly always they are all of it.
    private func readPlain(_ bytes: ByteBuffer) -> Bool {
        let answer = bytes.withUnsafeReadableBytes { PlainAnswer.read($0, limits: connection.limits) }
        guard let answer else { return false }
        connection.bytesRead = bytes.readableBytes
        connection.plain = answer
        connection.keepsAlive = true
        connection.phase = .answered
        return true
    }
}

/// Bytes that are no answer to anything: no HTTP, more than is read, or when nothing was asked.
struct UnexpectedBytes: Error {}
