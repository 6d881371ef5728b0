import Foundation
import NIOCore
import NIOPosix
package import NIOSSL
import Synchronization

/// A receiver on a real socket that does what a script says: right, wrong or nothing, byte by byte. It counts the
/// connections it accepted and keeps the requests it heard.
package final class RudeReceiver: Sendable {
    /// One thing done on a connection; a script is a list of them, done in order.
    package enum Act: Sendable {
        case send(String)
        /// What is no text.
        case bytes([UInt8])
        /// The text one byte at a time.
        case drip(String, every: Duration)
        /// The text again and again, as fast as it is taken, until the other side goes away.
        case flood(String)
        case pause(Duration)
        /// Goes on when the latch opens.
        case wait(Latch)
        case close
        /// Ends the connection with a reset instead of a farewell.
        case reset
    }

    /// When the script is asked what to do.
    package enum Moment: Sendable {
        case accepted, headHeard, requestHeard
    }

    package struct Heard: Sendable {
        /// Counting from 1: among all requests, and of the connection among all connections.
        package var number: Int
        package var connection: Int
        package var head: String
        package var body: [UInt8]
    }

    package struct Log: Sendable {
        package var accepted = 0
        package var open = 0
        package var openMost = 0
        package var requests: [Heard] = []
    }

    package let port: Int
    package let log: Watched<Log>
    private let listener: any Channel
    private let connections: Watched<[Int: any Channel]>

    private init(listener: any Channel, connections: Watched<[Int: any Channel]>, log: Watched<Log>) {
        self.listener = listener
        self.connections = connections
        self.log = log
        port = listener.localAddress?.port ?? 0
    }

    package static func start(
        host: String = "127.0.0.1", tls: NIOSSLContext? = nil, at moment: Moment = .requestHeard, reads: Bool = true,
        script: @escaping @Sendable (Heard) -> [Act]
    ) async throws -> RudeReceiver {
        let log = Watched(Log())
        let connections = Watched<[Int: any Channel]>([:])
        let listener = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.autoRead, value: reads)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    let number = log.change { log in
                        log.accepted += 1
                        log.open += 1
                        log.openMost = max(log.openMost, log.open)
                        return log.accepted
                    }
                    connections.change { $0[number] = channel }
                    channel.closeFuture.whenComplete { _ in
                        connections.change { $0[number] = nil }
                        log.change { $0.open -= 1 }
                    }
                    if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls)) }
                    try pipeline.addHandler(RudeHandler(number: number, moment: moment, log: log, script: script))
                }
            }
            .bind(host: host, port: 0).get()
        return RudeReceiver(listener: listener, connections: connections, log: log)
    }

    /// Stops listening, and ends what is still connected.
    package func stop() async throws {
        try await listener.close()
        for connection in connections.value.values { connection.close(promise: nil) }
    }
}

/// A script waits for it; a test opens it, once.
package final class Latch: Sendable {
    private let state = Mutex<(isOpen: Bool, waiting: [@Sendable () -> Void])>((false, []))

    package init() {}

    package func open() {
        let waiting = state.withLock { state in
            defer { state = (true, []) }
            return state.waiting
        }
        for resume in waiting { resume() }
    }

    fileprivate func whenOpen(_ resume: @escaping @Sendable () -> Void) {
        let isOpen = state.withLock { state in
            if !state.isOpen { state.waiting.append(resume) }
            return state.isOpen
        }
        if isOpen { resume() }
    }
}

/// A value that a test can wait on: for a condition, with a time-out that says what did not happen.
package final class Watched<Value: Sendable>: Sendable {
    private struct Waiter {
        var isMet: @Sendable (Value) -> Bool
        var resume: @Sendable (Bool) -> Void
    }

    private struct State {
        var value: Value
        var waiters: [UUID: Waiter] = [:]
    }

    package struct DidNotHappen: Error, CustomStringConvertible {
        package var description: String
    }

    private let state: Mutex<State>

    package init(_ value: Value) {
        state = Mutex(State(value: value))
    }

    package var value: Value { state.withLock { $0.value } }

    @discardableResult
    package func change<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        let (result, met) = state.withLock { state in
            let result = body(&state.value)
            let met = state.waiters.filter { $0.value.isMet(state.value) }
            for id in met.keys { state.waiters[id] = nil }
            return (result, met.values.map(\.resume))
        }
        for resume in met { resume(true) }
        return result
    }

    package func wait(
        for what: String, within limit: Duration = .seconds(60), until isMet: @escaping @Sendable (Value) -> Bool
    ) async throws {
        let id = UUID()
        let happened = await withCheckedContinuation { (continuation: CheckedContinuation<Bool, Never>) in
            let isMetNow = state.withLock { state in
                if isMet(state.value) { return true }
                state.waiters[id] = Waiter(isMet: isMet) { continuation.resume(returning: $0) }
                return false
            }
            if isMetNow { return continuation.resume(returning: true) }
            let seconds = Double(limit.components.seconds) + Double(limit.components.attoseconds) / 1e18
            DispatchQueue.global().asyncAfter(deadline: .now() + seconds) {
                self.state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(false)
            }
        }
        if !happened { throw DidNotHappen(description: "within \(limit): \(what); it is \(value)") }
    }
}

/// Hears requests and acts; lives on its channel's event loop.
private final class RudeHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let number: Int
    private let moment: RudeReceiver.Moment
    private let log: Watched<RudeReceiver.Log>
    private let script: @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act]
    private var unread = ""
    private var isHeadSeen = false

    init(
        number: Int, moment: RudeReceiver.Moment, log: Watched<RudeReceiver.Log>,
        script: @escaping @Sendable (RudeReceiver.Heard) -> [RudeReceiver.Act]
    ) {
        self.number = number
        self.moment = moment
        self.log = log
        self.script = script
    }

    func channelActive(context: ChannelHandlerContext) {
        guard moment == .accepted else { return }
        act(script(RudeReceiver.Heard(number: 0, connection: number, head: "", body: []))[...], context)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        unread += String(decoding: unwrapInboundIn(data).readableBytesView, as: UTF8.self)
        while let end = unread.range(of: "\r\n\r\n") {
            let head = String(unread[..<end.lowerBound])
            let length = Self.contentLength(head)
            let isWhole = unread[end.upperBound...].utf8.count >= length
            if !isHeadSeen, moment == .headHeard {
                isHeadSeen = true
                act(script(RudeReceiver.Heard(number: 0, connection: number, head: head, body: []))[...], context)
            }
            guard isWhole else { return }
            isHeadSeen = false
            let rest = Array(unread[end.upperBound...].utf8)
            unread = String(decoding: rest.dropFirst(length), as: UTF8.self)
            let heard = log.change { log in
                let heard = RudeReceiver.Heard(
                    number: log.requests.count + 1, connection: number, head: head, body: Array(rest.prefix(length))
                )
                log.requests.append(heard)
                return heard
            }
            if moment == .requestHeard { act(script(heard)[...], context) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private static func contentLength(_ head: String) -> Int {
        for line in head.split(separator: "\r\n") where line.lowercased().hasPrefix("content-length:") {
            return Int(line.dropFirst(15).trimmingCharacters(in: .whitespaces)) ?? 0
        }
        return 0
    }

    private func act(_ acts: ArraySlice<RudeReceiver.Act>, _ context: ChannelHandlerContext) {
        guard let act = acts.first, context.channel.isActive else { return }
        let rest = acts.dropFirst()
        let loop = context.eventLoop.assumeIsolated()
        switch act {
        case .send(let text):
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
            self.act(rest, context)
        case .bytes(let bytes):
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: bytes)), promise: nil)
            self.act(rest, context)
        case .drip(let text, let every):
            guard let first = text.unicodeScalars.first else { return self.act(rest, context) }
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: String(first))), promise: nil)
            let more = RudeReceiver.Act.drip(String(text.unicodeScalars.dropFirst()), every: every)
            loop.scheduleTask(in: TimeAmount(every)) { self.act([more] + rest, context) }
        case .flood(let text):
            let wave = String(repeating: text, count: 1 + 8_192 / max(1, text.utf8.count))
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: wave))).assumeIsolated().whenSuccess {
                // By way of the clock, not at once: the other side may live on this very loop.
                loop.scheduleTask(in: .milliseconds(1)) { self.act(acts, context) }
            }
        case .pause(let pause):
            loop.scheduleTask(in: TimeAmount(pause)) { self.act(rest, context) }
        case .wait(let latch):
            let bound = NIOLoopBound((self, rest, context), eventLoop: context.eventLoop)
            latch.whenOpen { bound.eventLoop.execute { bound.value.0.act(bound.value.1, bound.value.2) } }
        case .close: context.close(promise: nil)
        case .reset:
            _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
            context.channel.pipeline.syncOperations.closeBelowTLS()
        }
    }
}

extension ChannelPipeline.SynchronousOperations {
    /// Closes the socket without TLS's farewell.
    fileprivate func closeBelowTLS() {
        if let tls = try? context(handlerType: NIOSSLServerHandler.self) {
            tls.close(promise: nil)
        } else if let plain = try? context(handlerType: RudeHandler.self) {
            plain.close(promise: nil)
        }
    }
}
