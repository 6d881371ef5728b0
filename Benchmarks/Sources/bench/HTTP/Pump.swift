import NIOCore
import NIOPosix
import Synchronization

/// One request, ready to go out.
struct Outgoing: Sendable {
    var bytes: ByteBuffer
    /// What the work knows it by.
    var index = 0
}

/// What the connections of a pump send: shared by all of them, asked on their event loops.
protocol Work: Sendable {
    /// The next request; nil when there is nothing more to send, and the connection closes.
    func next() -> Outgoing?
    /// Its answer has come.
    func answered(_ index: Int, status: Int, body: UnsafeRawBufferPointer) throws
}

/// Raw HTTP/1.1 over SwiftNIO: keep-alive, one request in flight per connection, no parser but `Scan`, no task.
enum Pump {
    /// Sends all of the work and returns how long it took, connecting not included.
    @discardableResult
    static func run(
        _ work: some Work, connections: Int, to address: Address, within limit: Duration = .seconds(120)
    ) async throws -> (began: ContinuousClock.Instant, ended: ContinuousClock.Instant) {
        try await run(connections: connections, to: address, within: limit) { PumpHandler(work, $0) }
    }

    /// The same with a handler of the caller's, which begins at `PumpStart` and closes its channel when it is done.
    static func run<Handler: ChannelHandler>(
        connections: Int, to address: Address, within limit: Duration,
        _ handler: @escaping @Sendable (FirstFailure) -> Handler
    ) async throws -> (began: ContinuousClock.Instant, ended: ContinuousClock.Instant) {
        let failure = FirstFailure()
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(handler(failure))
                }
            }
        var channels: [any Channel] = []
        for _ in 0..<connections {
            channels.append(try await bootstrap.connect(host: address.host, port: address.port).get())
        }
        let opened = channels
        let alarm = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: TimeAmount(limit)) {
            failure.note(Failure("gave up after \(limit): not every request was answered"))
            for channel in opened { channel.close(promise: nil) }
        }
        let began = ContinuousClock.now
        for channel in channels { channel.pipeline.fireUserInboundEventTriggered(PumpStart()) }
        for channel in channels { try await channel.closeFuture.get() }
        let ended = ContinuousClock.now
        alarm.cancel()
        if let error = failure.error { throw error }
        return (began, ended)
    }
}

/// The word to begin.
struct PumpStart: Sendable {}

/// What went wrong first, over all connections.
final class FirstFailure: Sendable {
    private let first = Mutex<(any Error)?>(nil)

    var error: (any Error)? { first.withLock { $0 } }

    func note(_ error: any Error) {
        first.withLock { $0 = $0 ?? error }
    }
}

private final class PumpHandler<Sent: Work>: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let work: Sent
    private let failure: FirstFailure
    private var unread = Unread()
    private var waitsFor: Int?

    init(_ work: Sent, _ failure: FirstFailure) {
        self.work = work
        self.failure = failure
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is PumpStart { send(context) } else { context.fireUserInboundEventTriggered(event) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var hasAnswer = false
        unread.read(unwrapInboundIn(data)) { scan, body in
            guard let index = waitsFor else { return failure.note(Failure("an answer that nobody waits for")) }
            waitsFor = nil
            hasAnswer = true
            do {
                try work.answered(index, status: scan.status, body: body)
            } catch {
                failure.note(error)
            }
        }
        if hasAnswer { send(context) }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if waitsFor != nil { failure.note(Failure("the server closed a connection before its answer")) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure.note(error)
        context.close(promise: nil)
    }

    private func send(_ context: ChannelHandlerContext) {
        guard failure.error == nil, let request = work.next() else { return context.close(promise: nil) }
        waitsFor = request.index
        context.writeAndFlush(wrapOutboundOut(request.bytes), promise: nil)
    }
}
