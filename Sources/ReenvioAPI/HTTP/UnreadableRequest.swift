import HTTPTypes
import NIOCore
import NIOHTTPTypes
import ReenvioModel

/// Puts the contract's body into the bare 400 with which the HTTP layer answers what it cannot read as a request:
/// broken syntax, contradicting lengths, floods of headers (`docs/contract.md` 10). Everything else passes unchanged.
final class UnreadableRequestHandler: ChannelOutboundHandler, RemovableChannelHandler {
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private static let body = Problem(status: 400, message: "Bad request.").body
    private static let linger: TimeAmount = .milliseconds(500)
    private var isOwed = false

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch Self.unwrapOutboundIn(data) {
        case .head(var head) where head.status == .badRequest && head.headerFields[.contentLength] == "0":
            isOwed = true
            head.headerFields[.contentLength] = String(Self.body.count)
            head.headerFields[.contentType] = "application/json"
            // What never became a request has an id all the same.
            if let name = HTTPField.Name("x-request-id"), head.headerFields[name] == nil {
                head.headerFields[name] = APIContext.newRequestID()
            }
            context.write(Self.wrapOutboundOut(.head(head)), promise: promise)
        case .end where isOwed:
            isOwed = false
            let buffer = context.channel.allocator.buffer(bytes: Self.body)
            context.write(Self.wrapOutboundOut(.body(buffer)), promise: nil)
            let written = promise ?? context.eventLoop.makePromise()
            let channel = context.channel
            // Whoever goes on sending is cut off, a moment later so that the answer can be read.
            written.futureResult.whenComplete { _ in
                channel.eventLoop.scheduleTask(in: Self.linger) { channel.close(promise: nil) }
            }
            context.write(data, promise: written)
        default:
            context.write(data, promise: promise)
        }
    }
}
