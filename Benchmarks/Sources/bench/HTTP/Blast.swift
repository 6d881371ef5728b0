import Foundation
import NIOCore
import NIOHTTP1
import Synchronization

/// The reference blast: the same request again and again, for a time, as fast as its connections take it; nothing is
/// stored, signed or decided. What a delivery rate is divided by. One request in flight per connection, no task.
struct Blast: Sendable {
    enum Codec: Sendable {
        /// Each request encoded and each answer parsed by NIOHTTP1: the reference.
        case nio
        /// The bytes of the request, made once; `Scan` finds the end of the answer. The floor, beside the reference.
        case bare
    }

    struct Result: Sendable {
        var rate: Double
        /// CPU of this process per request, in us: the pump and, where it runs here, the receiver.
        var ownMicroseconds: Double
        var othersPercent: Double
    }

    var connections: Int
    var seconds: Double
    var codec = Codec.nio
    var warmUp: Duration = .milliseconds(300)

    /// `pid` is the server's where it does not run in this process.
    func run(_ request: Request, to address: Address, pid: pid_t? = nil) async throws -> Result {
        let work = BlastWork(request.bytes(host: address.description))
        let limit = warmUp + .seconds(seconds + 30)
        async let pumping = pump(request, work, to: address, within: limit)
        try await Task.sleep(for: warmUp)
        let (meter, before, used) = (try Meter(pid), work.count, ProcessUsage.ownMicroseconds)
        try await Task.sleep(for: .seconds(seconds))
        let (reading, after, usedAfter) = (try meter.read(), work.count, ProcessUsage.ownMicroseconds)
        work.stop()
        _ = try await pumping
        guard after > before else { throw Failure("the blast got no answer") }
        return Result(
            rate: Double(after - before) / reading.seconds,
            ownMicroseconds: Double(usedAfter - used) / Double(after - before),
            othersPercent: reading.othersPercent
        )
    }

    private func pump(
        _ request: Request, _ work: BlastWork, to address: Address, within limit: Duration
    ) async throws -> (began: ContinuousClock.Instant, ended: ContinuousClock.Instant) {
        switch codec {
        case .bare: try await Pump.run(work, connections: connections, to: address, within: limit)
        case .nio:
            try await Pump.run(connections: connections, to: address, within: limit) {
                CodecPumpHandler(request, host: address.description, work, $0)
            }
        }
    }
}

private final class BlastWork: Work {
    private let request: Outgoing
    private let answers = Atomic(0)
    private let isOver = Atomic(false)

    init(_ bytes: ByteBuffer) {
        request = Outgoing(bytes: bytes)
    }

    var count: Int { answers.load(ordering: .relaxed) }

    func stop() {
        isOver.store(true, ordering: .relaxed)
    }

    func next() -> Outgoing? {
        isOver.load(ordering: .relaxed) ? nil : request
    }

    func answered(_ index: Int, status: Int, body: UnsafeRawBufferPointer) throws {
        guard status == 200 else { throw Failure("the blast was answered with \(status)") }
        answers.wrappingAdd(1, ordering: .relaxed)
    }
}

/// The same pump through NIOHTTP1's encoder and parser.
private final class CodecPumpHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let head: HTTPRequestHead
    private let body: ByteBuffer
    private let work: BlastWork
    private let failure: FirstFailure
    private var status = 0

    init(_ request: Request, host: String, _ work: BlastWork, _ failure: FirstFailure) {
        var headers = HTTPHeaders([("host", host), ("content-length", "\(request.body.utf8.count)")])
        headers.add(contentsOf: request.headers)
        head = HTTPRequestHead(version: .http1_1, method: .POST, uri: request.path, headers: headers)
        body = ByteBuffer(string: request.body)
        self.work = work
        self.failure = failure
    }

    func handlerAdded(context: ChannelHandlerContext) {
        do {
            try context.pipeline.syncOperations.addHTTPClientHandlers(position: .before(self))
        } catch {
            failure.note(error)
        }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event is PumpStart { send(context) } else { context.fireUserInboundEventTriggered(event) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body: break
        case .end:
            do {
                try work.answered(0, status: status, body: UnsafeRawBufferPointer(start: nil, count: 0))
            } catch {
                failure.note(error)
            }
            send(context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure.note(error)
        context.close(promise: nil)
    }

    private func send(_ context: ChannelHandlerContext) {
        guard failure.error == nil, work.next() != nil else { return context.close(promise: nil) }
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }
}
