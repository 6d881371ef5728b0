package import Hummingbird
package import Logging
import NIOCore
import ReenvioEngine
import ReenvioModel

/// What the server knows of a request beside its head and body.
package struct APIContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// The peer of the socket, without its port; nil in tests without a socket.
    package let peer: String?
    /// Names the request in its answer and in every log line about it.
    package let requestID: String

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = source.channel.remoteAddress?.ipAddress
        let bits = SystemEntropy().next()
        requestID = Hex.text((0..<8).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) })
        logger[metadataKey: "request"] = "\(requestID)"
    }
}
