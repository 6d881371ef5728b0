import NIOCore
import NIOPosix
import Synchronization

/// A merchant's side, as cheap as SwiftNIO allows: one event loop, raw bytes, 200 to everything, after a while where
/// that is asked for. It serves the reference blast and the servers under test alike, so that its cost is the same in
/// both.
final class Receiver: Sendable {
    /// What it remembers of a request, by `webhook-id`.
    enum Memory: Sendable {
        case nothing
        case webhookIDs
        /// The time at which each payout's first webhook came, by the `id` that its body begins with.
        case arrivals
    }

    private struct State {
        var memory = Memory.nothing
        var requests = 0
        var distinct = 0
        var target = Int.max
        var reachedAt: ContinuousClock.Instant?
        var bodyBytes = 0
        var webhookIDs: Set<UInt64> = []
        var arrivals: [Int: ContinuousClock.Instant] = [:]

        /// False when it came before.
        mutating func noteArrival(of payoutID: Int) -> Bool {
            guard arrivals[payoutID] == nil else { return false }
            arrivals[payoutID] = .now
            return true
        }
    }

    private let state = Mutex(State())
    private let group: MultiThreadedEventLoopGroup
    private let channels: Mutex<[any Channel]> = Mutex([])
    fileprivate let delay: TimeAmount?

    init(answeringAfter delay: Duration? = nil) {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        self.delay = delay.map { TimeAmount($0) }
    }

    /// Listens at one more address of the loopback; port 0 picks one.
    func start(host: String = "127.0.0.1", port: Int = 0) async throws -> Address {
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(ReceiverHandler(self))
                }
            }
            .bind(host: host, port: port).get()
        channels.withLock { $0.append(channel) }
        return Address(host: host, port: channel.localAddress?.port ?? 0)
    }

    func stop() async throws {
        for channel in channels.withLock({ $0 }) { try await channel.close() }
        try await group.shutdownGracefully()
    }

    // MARK: Counting

    var requests: Int { state.withLock(\.requests) }
    var distinct: Int { state.withLock(\.distinct) }
    /// Of the last request.
    var bodyBytes: Int { state.withLock(\.bodyBytes) }
    var arrivals: [Int: ContinuousClock.Instant] { state.withLock(\.arrivals) }

    /// Forgets everything, and waits for `count` different webhooks from now on.
    func expect(_ count: Int = 0, remembering memory: Memory = .webhookIDs) {
        state.withLock { state in
            state = State(memory: memory, target: count)
            switch memory {
            case .nothing: break
            case .webhookIDs: state.webhookIDs.reserveCapacity(count)
            case .arrivals: state.arrivals.reserveCapacity(count)
            }
        }
    }

    /// When the last of the expected webhooks was answered.
    func reached(within limit: Duration) async throws -> ContinuousClock.Instant {
        try await eventually("the last expected webhook", within: limit, every: .milliseconds(2)) {
            self.state.withLock(\.reachedAt)
        }
    }

    fileprivate func note(_ scan: Scan, _ body: UnsafeRawBufferPointer) {
        state.withLock { state in
            state.requests += 1
            state.bodyBytes = scan.bodyLength
            let isNew =
                switch state.memory {
                case .nothing: true
                case .webhookIDs: state.webhookIDs.insert(scan.webhookID).inserted
                case .arrivals: state.noteArrival(of: Scan.number(body, at: 6))
                }
            guard isNew else { return }
            state.distinct += 1
            if state.distinct == state.target { state.reachedAt = .now }
        }
    }
}

private final class ReceiverHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let answer = ByteBuffer(
        staticString: "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok")

    private let receiver: Receiver
    private var unread = Unread()

    init(_ receiver: Receiver) {
        self.receiver = receiver
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unread.read(unwrapInboundIn(data)) { scan, body in
            receiver.note(scan, body)
            if let delay = receiver.delay {
                context.eventLoop.assumeIsolated().scheduleTask(in: delay) {
                    context.writeAndFlush(self.wrapOutboundOut(Self.answer), promise: nil)
                }
            } else {
                context.write(wrapOutboundOut(Self.answer), promise: nil)
            }
        }
        context.flush()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
