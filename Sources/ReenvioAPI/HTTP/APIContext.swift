package import Hummingbird
package import Logging
import NIOCore

/// What the server knows of a request beside its head and body.
package struct APIContext: RequestContext {
    package var coreContext: CoreRequestContextStorage
    /// The peer of the socket, without its port; nil in tests without a socket.
    package let peer: String?

    package init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        peer = source.channel.remoteAddress?.ipAddress
    }
}
