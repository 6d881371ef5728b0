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

    /// Many clients read the answer only when they have sent their whole body. Behind the last answer they may go on
    /// sending while no pause is longer than this, within bounds of time and size.
    private static let pauseMax: TimeAmount = .milliseconds(500)
    private static let pausesMax = 20
    private static let bytesMax = 16 << 20

    private let isDraining: Flag
    private var wishes = CircularBuffer<Wish>()
    private var isLast = false
    private var lingering: Lingering?

    /// What came behind the last answer.
    private struct Lingering {
        var bytes = 0
        var bytesAtLastLook = -1
        var looks = 0
    }

    init(isDraining: Flag) {
        self.isDraining = isDraining
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(let head):
            // Nothing is processed behind an answer that was announced as the last one.
            if isLast { return }
            wishes.append(Self.wish(of: head))
        case .body(let buffer):
            lingering?.bytes += buffer.readableBytes
            if let lingering, lingering.bytes > Self.bytesMax {
                context.close(promise: nil)
                return
            }
        case .end: break
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
            written.futureResult.assumeIsolated().whenComplete { _ in
                // The client reads the end of the answer at once.
                channel.close(mode: .output, promise: nil)
                self.lingering = Lingering()
                self.linger(on: channel)
            }
            context.write(data, promise: written)
        default:
            context.write(data, promise: promise)
        }
    }

    /// Closes the connection when nothing came since the last look, or at the last of them.
    private func linger(on channel: any Channel) {
        guard var state = lingering, channel.isActive else { return }
        guard state.bytes > state.bytesAtLastLook, state.looks < Self.pausesMax else {
            channel.close(promise: nil)
            return
        }
        state.bytesAtLastLook = state.bytes
        state.looks += 1
        lingering = state
        channel.eventLoop.assumeIsolated().scheduleTask(in: Self.pauseMax) { self.linger(on: channel) }
    }
}
