import NIOCore
import NIOHTTP1

/// Refuses a body whose end or whose bytes others might read differently (RFC 9112 6.1): a transfer coding other than
/// `chunked`, `chunked` more than once, or any in HTTP/1.0. It is answered like any request that cannot be read, and
/// the connection ends.
final class TransferCodingHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private var hasRefused = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if hasRefused { return }
        if case .head(let head) = Self.unwrapInboundIn(data), !Self.isSound(head) {
            hasRefused = true
            context.fireErrorCaught(HTTPParserError.invalidHeaderToken)
        } else {
            context.fireChannelRead(data)
        }
    }

    private static func isSound(_ head: HTTPRequestHead) -> Bool {
        let codings = head.headers["transfer-encoding"]
        guard !codings.isEmpty else { return true }
        return head.version.isHTTP11 && codings.count == 1 && codings[0].lowercased() == "chunked"
    }
}
