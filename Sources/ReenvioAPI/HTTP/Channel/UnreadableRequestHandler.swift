import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import ReenvioModel

/// Puts the contract's body into the bare 400 with which the HTTP layer answers what it cannot read as a request:
/// broken syntax, contradicting lengths, floods of headers, no host (`docs/contract.md` 10). Everything else passes
/// unchanged.
final class UnreadableRequestHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private static let hostFault = Faults(
        "host", "The Host header must be given exactly once, as a host and an optional port.")

    private var faults = Faults()
    /// The body behind a head that was written without one.
    private var owed: [UInt8]?

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case HTTPParserError.invalidHost = error { faults = Self.hostFault }
        context.fireErrorCaught(error)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch Self.unwrapOutboundIn(data) {
        case .head(var head) where head.status == .badRequest && head.headerFields[.contentLength] == "0":
            let body = Problem(status: 400, message: "Bad request.", errors: faults).body
            owed = body
            head.headerFields[.contentLength] = String(body.count)
            head.headerFields[.contentType] = "application/json"
            // What never became a request has an id all the same.
            if let name = HTTPField.Name("x-request-id"), head.headerFields[name] == nil {
                head.headerFields[name] = APIContext.newRequestID()
            }
            context.write(Self.wrapOutboundOut(.head(head)), promise: promise)
        case .end:
            if let body = owed {
                owed = nil
                let buffer = context.channel.allocator.buffer(bytes: body)
                context.write(Self.wrapOutboundOut(.body(buffer)), promise: nil)
            }
            context.write(data, promise: promise)
        default:
            context.write(data, promise: promise)
        }
    }
}
