import NIOCore
import NIOHTTP1
import ReenvioEngine

/// Decides after which answer a connection ends, says so in it (`Connection: close`), and ends it (RFC 9112 9.3, 9.6):
/// where the client asked for that, the answer itself says so, or the server is about to stop.
final class PersistenceHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private enum Wish {
        case keep, keepOfHTTP10, close
    }

    /// How long a client may go on sending after the last answer, so that it can read that first.
    private static let linger: TimeAmount = .milliseconds(500)

    private let isDraining: Flag
    private var wishes = CircularBuffer<Wish>()
    private var isLast = false

    init(isDraining: Flag) {
        self.isDraining = isDraining
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = Self.unwrapInboundIn(data) {
            // Nothing is processed behind an answer that was announced as the last one.
            if isLast { return }
            wishes.append(Self.wish(of: head))
        }
        context.fireChannelRead(data)
    }

    private static func wish(of head: HTTPRequestHead) -> Wish {
        if head.headers.hasToken("close", in: "connection") { return .close }
        if head.version.isHTTP11 { return .keep }
        return head.headers.hasToken("keep-alive", in: "connection") ? .keepOfHTTP10 : .close
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch Self.unwrapOutboundIn(data) {
        case .head(var head) where !head.status.isInformational:
            let wish = wishes.popFirst() ?? .keep
            // Requests that were read already are answered first.
            isLast =
                wish == .close || head.headers.hasToken("close", in: "connection")
                || (isDraining.isRaised && wishes.isEmpty)
            if isLast {
                head.headers.replaceOrAdd(name: "connection", value: "close")
            } else if wish == .keepOfHTTP10 {
                head.headers.replaceOrAdd(name: "connection", value: "keep-alive")
            }
            context.write(Self.wrapOutboundOut(.head(head)), promise: promise)
        case .end where isLast:
            let written = promise ?? context.eventLoop.makePromise()
            let channel = context.channel
            written.futureResult.whenComplete { _ in
                // The client reads the end of the answer at once; a client that goes on sending is cut off later.
                channel.close(mode: .output, promise: nil)
                channel.eventLoop.scheduleTask(in: Self.linger) { channel.close(promise: nil) }
            }
            context.write(data, promise: written)
        default:
            context.write(data, promise: promise)
        }
    }
}
