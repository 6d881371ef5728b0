import NIOCore
import NIOHTTP1

/// Refuses a request whose head a proxy in front might read differently. Answers it like any request that cannot be
/// read, and ends the connection.
final class HeadRulesHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart

    private var hasRefused = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if hasRefused { return }
        if case .head(let head) = Self.unwrapInboundIn(data), let fault = Self.fault(of: head) {
            hasRefused = true
            context.fireErrorCaught(fault)
        } else {
            context.fireChannelRead(data)
        }
    }

    private static func fault(of head: HTTPRequestHead) -> HTTPParserError? {
        if !HostRule.isSound(head) { return .invalidHost }
        return hasSoundTransferCoding(head) ? nil : .invalidHeaderToken
    }

    /// Takes one `chunked` and no other transfer coding, and none in HTTP/1.0 (RFC 9112 6.1).
    private static func hasSoundTransferCoding(_ head: HTTPRequestHead) -> Bool {
        let codings = head.headers["transfer-encoding"]
        guard !codings.isEmpty else { return true }
        return head.version.isHTTP11 && codings.count == 1 && codings[0].lowercased() == "chunked"
    }
}
