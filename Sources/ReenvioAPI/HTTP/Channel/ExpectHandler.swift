import NIOCore
import NIOHTTP1

/// Answers `Expect: 100-continue` (RFC 9110 10.1.1): with `100 Continue` once the gateway is about to read the body,
/// and otherwise by the final answer alone, which then ends the connection because the body may or may not come.
/// HTTP/1.0 has no expectations: they are taken away here. Others than `100-continue` are refused by
/// `ExpectationMiddleware`.
final class ExpectHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Sent through the pipeline by whatever is about to read a body.
    struct BodyIsWanted: Sendable {}

    /// Whether the client of the request that was read last waits with its body.
    private var isWaitedFor = false
    private var unanswered = 0

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch Self.unwrapInboundIn(data) {
        case .head(var head):
            unanswered += 1
            if head.version.isHTTP11 {
                isWaitedFor = head.headers.hasToken("100-continue", in: "expect") && Self.hasBody(head)
                context.fireChannelRead(data)
            } else {
                head.headers.remove(name: "expect")
                context.fireChannelRead(Self.wrapInboundOut(.head(head)))
            }
        case .body, .end:
            isWaitedFor = false
            context.fireChannelRead(data)
        }
    }

    private static func hasBody(_ head: HTTPRequestHead) -> Bool {
        head.headers.contains(name: "transfer-encoding")
            || (head.headers.first(name: "content-length").map { $0 != "0" } ?? false)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch Self.unwrapOutboundIn(data) {
        case .head(var head) where isWaitedFor && unanswered == 1 && !head.status.isInformational:
            head.headers.replaceOrAdd(name: "connection", value: "close")
            context.write(Self.wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            unanswered -= 1
            context.write(data, promise: promise)
        default:
            context.write(data, promise: promise)
        }
    }

    func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
        guard event is BodyIsWanted else {
            context.triggerUserOutboundEvent(event, promise: promise)
            return
        }
        promise?.succeed()
        guard isWaitedFor else { return }
        isWaitedFor = false
        let head = HTTPResponseHead(version: .http1_1, status: .continue)
        context.writeAndFlush(Self.wrapOutboundOut(.head(head)), promise: nil)
    }
}
