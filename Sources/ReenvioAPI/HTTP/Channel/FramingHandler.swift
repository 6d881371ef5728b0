import NIOCore
import NIOHTTP1

/// Marks the end of each answer in the way that its request allows: by a length, by chunks, or, for HTTP/1.0, by the
/// end of the connection. An answer to HEAD ends with its head (RFC 9110 9.3.2), also where its body has no length.
final class FramingHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private struct Asked {
        var isHead = false
        var takesChunks = true
    }

    /// Of the requests that are not answered yet, in their order.
    private var asked = CircularBuffer<Asked>()
    private var dropsBody = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head(let head) = Self.unwrapInboundIn(data) {
            asked.append(Asked(isHead: head.method == .HEAD, takesChunks: head.version.isHTTP11))
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch Self.unwrapOutboundIn(data) {
        case .head(var head) where !head.status.isInformational:
            // Bytes that never became a request are answered as if by GET.
            let request = asked.popFirst() ?? Asked()
            dropsBody = request.isHead
            Self.frame(&head, for: request)
            context.write(Self.wrapOutboundOut(.head(head)), promise: promise)
        case .body where dropsBody:
            promise?.succeed()
        default:
            context.write(data, promise: promise)
        }
    }

    private static func frame(_ head: inout HTTPResponseHead, for request: Asked) {
        if head.status == .noContent || head.status == .notModified {
            head.headers.remove(name: "content-length")
        } else if !head.headers.contains(name: "content-length"), !request.isHead {
            if request.takesChunks {
                head.headers.replaceOrAdd(name: "transfer-encoding", value: "chunked")
            } else {
                head.headers.replaceOrAdd(name: "connection", value: "close")
            }
        }
    }
}
