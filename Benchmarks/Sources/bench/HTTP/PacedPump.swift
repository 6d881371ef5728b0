import NIOCore
import Synchronization

/// Requests at a steady pace over keep-alive connections, each due at its own time whatever the answers take; sent and
/// timed on the event loops, so that waiting for a task's turn is in no figure.
struct PacedPump: Sendable {
    let connections: Int
    let perSecond: Int

    /// Of one request.
    struct Times: Sendable {
        /// When it should be sent; it is sent later where the answer before it on its connection was.
        var due: ContinuousClock.Instant
        var answered: ContinuousClock.Instant
    }

    /// Sends the requests in order until there are no more, or until `stop` is raised, and returns the times of those
    /// that were sent, by index.
    func run(_ requests: [ByteBuffer], to address: Address, until stop: Stop = Stop()) async throws -> [Int: Times] {
        let numbers = Atomic(0)
        let log = TimesLog()
        _ = try await Pump.run(
            connections: connections, to: address, within: .seconds(2 * requests.count / perSecond + 60)
        ) { failure in
            PacedHandler(
                requests, first: numbers.wrappingAdd(1, ordering: .relaxed).oldValue, self, log, stop, failure)
        }
        return log.times
    }

    /// Says that nothing more is to be sent.
    final class Stop: Sendable {
        private let isSet = Atomic(false)

        var isRaised: Bool { isSet.load(ordering: .relaxed) }

        func raise() { isSet.store(true, ordering: .relaxed) }
    }
}

private final class TimesLog: Sendable {
    private let all = Mutex<[Int: PacedPump.Times]>([:])

    var times: [Int: PacedPump.Times] { all.withLock { $0 } }

    func add(_ own: [Int: PacedPump.Times]) {
        all.withLock { $0.merge(own) { first, _ in first } }
    }
}

/// Every so many of the requests, beginning with its own first.
private final class PacedHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let requests: [ByteBuffer]
    private let pump: PacedPump
    private let log: TimesLog
    private let stop: PacedPump.Stop
    private let failure: FirstFailure
    private var index: Int
    private var began = ContinuousClock.now
    private var isWaiting = false
    private var unread = Unread()
    private var own: [Int: PacedPump.Times] = [:]

    init(
        _ requests: [ByteBuffer], first: Int, _ pump: PacedPump, _ log: TimesLog, _ stop: PacedPump.Stop,
        _ failure: FirstFailure
    ) {
        self.requests = requests
        self.pump = pump
        self.log = log
        self.stop = stop
        self.failure = failure
        index = first
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard event is PumpStart else { return context.fireUserInboundEventTriggered(event) }
        began = .now
        sendWhenDue(context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unread.read(unwrapInboundIn(data)) { scan, body in
            isWaiting = false
            own[index] = PacedPump.Times(due: due, answered: .now)
            if scan.status != 200 {
                let text = String(decoding: body.prefix(300), as: UTF8.self)
                failure.note(Failure("request \(index) was answered with \(scan.status): \(text)"))
            }
            index += pump.connections
            sendWhenDue(context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        if isWaiting { failure.note(Failure("the server closed a connection before its answer")) }
        log.add(own)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure.note(error)
        context.close(promise: nil)
    }

    private var due: ContinuousClock.Instant { began + .seconds(Double(index) / Double(pump.perSecond)) }

    private func sendWhenDue(_ context: ChannelHandlerContext) {
        let wait = due - .now
        guard wait > .zero else { return send(context) }
        context.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(wait)) { self.send(context) }
    }

    private func send(_ context: ChannelHandlerContext) {
        guard failure.error == nil, !stop.isRaised, index < requests.count else {
            return context.close(promise: nil)
        }
        isWaiting = true
        context.writeAndFlush(wrapOutboundOut(requests[index]), promise: nil)
    }
}
