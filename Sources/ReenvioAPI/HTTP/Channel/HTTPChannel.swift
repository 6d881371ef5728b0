import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import ReenvioEngine

/// One connection of the server: the handlers that every request passes before the router, one per concern of HTTP/1.1
/// (RFC 9112). Those that need the version of a request or every line of its head work on the parser's own types.
struct HTTPChannel: HTTPChannelHandler {
    typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

    private static let idleTimeout: Duration = .seconds(75)

    let responder: HTTPChannelHandler.Responder
    /// Raised when the server is about to stop: connections then end with their next answer.
    let isDraining: Flag
    let connections: InboundConnections

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        let occupancy = connections.register(channel)
        return channel.eventLoop.makeCompletedFuture {
            let pipeline = channel.pipeline.syncOperations
            var encoding = HTTPResponseEncoder.Configuration()
            encoding.automaticallySetFramingHeaders = false
            try pipeline.configureHTTPServerPipeline(
                withPipeliningAssistance: false, withErrorHandling: false, withOutboundHeaderValidation: false,
                withEncoderConfiguration: encoding, withDecoderLimitConfiguration: Self.decoderLimits)
            try pipeline.addHandler(OccupancyHandler(occupancy))
            try pipeline.addHandler(PersistenceHandler(isDraining: isDraining))
            try pipeline.addHandler(FramingHandler())
            try pipeline.addHandler(HeadRulesHandler())
            try pipeline.addHandler(ExpectHandler())
            try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
            try pipeline.addHandler(UnreadableRequestHandler())
            try pipeline.addHandler(HTTPConnectionStateHandler(idleTimeout: Self.idleTimeout, logger: logger))
            return try NIOAsyncChannel(
                wrappingChannelSynchronously: channel, configuration: .init(isOutboundHalfClosureEnabled: true))
        }
    }

    func handle(value: Value, logger: Logger) async {
        await handleHTTP(asyncChannel: value, logger: logger)
    }

    private static var decoderLimits: NIOHTTPDecoderLimitConfiguration {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = 80 << 10
        limits.maxHeaderListSize = 80 << 10
        limits.maxHeaderFieldCount = 1_000
        return limits
    }
}

extension HTTPResponseStatus {
    /// Whether another answer to the same request follows.
    var isInformational: Bool { 100..<200 ~= code }
}

extension HTTPVersion {
    /// Whether it is 1.1 or later, which knows persistent connections, chunks and expectations.
    var isHTTP11: Bool { (major, minor) >= (1, 1) }
}

extension HTTPHeaders {
    /// Whether a list of tokens, over all lines of the field, has this one.
    func hasToken(_ token: String, in name: String) -> Bool {
        self[canonicalForm: name].contains { $0.lowercased() == token }
    }
}
