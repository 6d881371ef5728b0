import HTTPTypes
package import Hummingbird
package import Logging
import NIOCore
import ReenvioEngine
package import ReenvioModel

/// What the server knows of a request beside its head and body.
package struct APIContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// The peer of the socket, without its port; nil in tests without a socket.
    package let peer: IPAddress?
    /// Names the request in its answer and in every log line about it.
    package let requestID: String
    private let channel: any Channel

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = source.channel.remoteAddress.flatMap(IPAddress.init)
        requestID = Self.newRequestID()
        channel = source.channel
    }

    /// Says that the body of the request is about to be read, which a client with `Expect: 100-continue` waits for.
    func wantsBody(of request: Request) {
        guard request.headers[.expect] != nil else { return }
        channel.triggerUserOutboundEvent(ExpectHandler.BodyIsWanted(), promise: nil)
    }

    /// 16 hex digits, as a span of a trace has them.
    static func newRequestID() -> String {
        let bits = SystemEntropy().next()
        return Hex.text((0..<8).map { UInt8(truncatingIfNeeded: bits >> (8 * $0)) })
    }
}

extension IPAddress {
    /// The address of a socket's peer, from its bytes: behind family and port, and in version 6 the flow; nil for a
    /// Unix socket.
    init?(_ address: SocketAddress) {
        switch address {
        case .v4(let peer): self.init(bytes: withUnsafeBytes(of: peer.address) { Array($0[4..<8]) })
        case .v6(let peer): self.init(bytes: withUnsafeBytes(of: peer.address) { Array($0[8..<24]) })
        case .unixDomainSocket: return nil
        }
    }
}
