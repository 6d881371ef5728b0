import NIOCore
import NIOHTTP1

/// Says whether a request is under way on its connection.
final class OccupancyHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let occupancy: Occupancy
    private var underWay = 0

    init(_ occupancy: Occupancy) {
        self.occupancy = occupancy
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .head = Self.unwrapInboundIn(data) {
            underWay += 1
            occupancy.begin()
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = Self.unwrapOutboundIn(data) {
            underWay = max(0, underWay - 1)
            if underWay == 0 { occupancy.end() }
        }
        context.write(data, promise: promise)
    }
}
