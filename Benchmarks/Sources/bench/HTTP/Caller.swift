import NIOCore
import NIOPosix

/// One keep-alive connection for one request at a time: dispatching a job and watching it.
final class Caller: Sendable {
    struct Answer: Sendable {
        var status: Int
        var body: String
    }

    private let channel: any Channel
    private let host: String

    private init(_ channel: any Channel, host: String) {
        self.channel = channel
        self.host = host
    }

    static func connect(to address: Address) async throws -> Caller {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(CallerHandler())
                }
            }
            .connect(host: address.host, port: address.port).get()
        return Caller(channel, host: address.description)
    }

    func call(_ request: Request) async throws -> Answer {
        let promise = channel.eventLoop.makePromise(of: Answer.self)
        channel.write(Call(bytes: request.bytes(host: host), answer: promise), promise: nil)
        channel.flush()
        let alarm = channel.eventLoop.scheduleTask(in: .seconds(20)) { promise.fail(Failure("no answer within 20 s")) }
        defer { alarm.cancel() }
        return try await promise.futureResult.get()
    }

    func close() async throws {
        try await channel.close()
    }
}

private struct Call: Sendable {
    var bytes: ByteBuffer
    var answer: EventLoopPromise<Caller.Answer>
}

private final class CallerHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Call
    typealias OutboundOut = ByteBuffer

    private var unread = Unread()
    private var waiting: EventLoopPromise<Caller.Answer>?

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let call = unwrapOutboundIn(data)
        waiting = call.answer
        context.write(wrapOutboundOut(call.bytes), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unread.read(unwrapInboundIn(data)) { scan, body in
            waiting?.succeed(Caller.Answer(status: scan.status, body: String(decoding: body, as: UTF8.self)))
            waiting = nil
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        waiting?.fail(Failure("the server closed the connection before its answer"))
        waiting = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        waiting?.fail(error)
        waiting = nil
        context.close(promise: nil)
    }
}
