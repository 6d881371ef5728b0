import NIOCore
import ReenvioModel

/// Asks a proxy for a tunnel to a judged address (CONNECT), and leaves the pipeline once there is one. The proxy is
/// given an address and never a name, so what is asked for is what was judged
/// (`docs/decisions/0004-egress-proxy.md`).
///
/// What goes wrong is a reason of the closed list (`docs/contract.md` 13.10): `connection_refused` where the proxy says
/// no, `timed_out` where it says nothing in time or 504, `connection_failed` where it cannot be reached or breaks off,
/// `malformed_response` where it does not speak HTTP.
final class Tunnel: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private static let version = "HTTP/1."

    private let request: String
    private let headBytes: Int
    private let ended: EventLoopPromise<Void>
    private var head = ByteBuffer()
    private var isDone = false

    private init(request: String, headBytes: Int, ended: EventLoopPromise<Void>) {
        self.request = request
        self.headBytes = headBytes
        self.ended = ended
    }

    /// A tunnel over a connected channel that does not read by itself; the future is the channel, which then carries
    /// nothing but what the two ends say. Fails with `DialFailure` only, and closes the channel then.
    static func open(
        through channel: any Channel, to address: IPAddress, port: UInt16, proxy: EgressProxy, headBytes: Int,
        within limit: Duration
    ) -> EventLoopFuture<any Channel> {
        let target = "\(ReceiverURL.Host.address(address)):\(port)"
        var request = "CONNECT \(target) HTTP/1.1\r\nhost: \(target)\r\n"
        if let authorization = proxy.authorization { request += "proxy-authorization: \(authorization)\r\n" }
        let ended = channel.eventLoop.makePromise(of: Void.self)
        let tunnel = Tunnel(request: request + "\r\n", headBytes: headBytes, ended: ended)
        let alarm = channel.eventLoop.assumeIsolated().scheduleTask(in: TimeAmount(max(.zero, limit))) {
            tunnel.end(.failure(DialFailure(reason: .timedOut)))
        }
        do {
            try channel.pipeline.syncOperations.addHandler(tunnel)
        } catch {
            tunnel.end(.failure(DialFailure(reason: .connectionFailed)))
        }
        return ended.futureResult.always { result in
            alarm.cancel()
            if case .failure = result { channel.close(promise: nil) }
        }.map { channel }
    }

    func handlerAdded(context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(string: request)), promise: nil)
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        head.writeBuffer(&bytes)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        guard !isDone else { return }
        switch Self.judge(head.readableBytesView, atMost: headBytes) {
        case nil: context.read()
        case .failure(let failure): end(.failure(failure))
        case .success:
            isDone = true
            let ended = ended
            context.pipeline.syncOperations.removeHandler(self).whenComplete { _ in ended.succeed() }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(.failure(DialFailure(reason: .connectionFailed)))
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(.failure(DialFailure(reason: .connectionFailed)))
    }

    private func end(_ result: Result<Void, DialFailure>) {
        guard !isDone else { return }
        isDone = true
        ended.completeWith(result.mapError { $0 })
    }

    /// What the bytes read so far come to; nil while the head may still become whole.
    static func judge(_ bytes: ByteBufferView, atMost limit: Int) -> Result<Void, DialFailure>? {
        let malformed = Result<Void, DialFailure>.failure(DialFailure(reason: .malformedResponse))
        guard zip(bytes, version.utf8).allSatisfy(==) else { return malformed }
        guard let end = endOfHead(bytes) else { return bytes.count > limit ? malformed : nil }
        // The receiver's end speaks second, so there is nothing yet that may follow the head.
        guard end == bytes.endIndex, end - bytes.startIndex <= limit, let status = status(bytes) else {
            return malformed
        }
        switch status {
        case 200...299: return .success(())
        case 504: return .failure(DialFailure(reason: .timedOut))
        case 300...599: return .failure(DialFailure(reason: .connectionRefused))
        default: return malformed
        }
    }

    private static func endOfHead(_ bytes: ByteBufferView) -> Int? {
        let blank = Array("\r\n\r\n".utf8)
        guard bytes.count >= blank.count else { return nil }
        for start in bytes.startIndex...(bytes.endIndex - blank.count)
        where bytes[start..<start + blank.count].elementsEqual(blank) { return start + blank.count }
        return nil
    }

    /// The code of a status line `HTTP/1.x NNN`.
    private static func status(_ bytes: ByteBufferView) -> Int? {
        let line = bytes.dropFirst(version.utf8.count).prefix(6)
        guard line.count == 6, let minor = line.first, (0x30...0x39).contains(minor),
            line.dropFirst().first == 0x20, let last = line.last, last == 0x20 || last == 0x0D
        else { return nil }
        return Int(String(decoding: line.dropFirst(2).prefix(3), as: UTF8.self))
    }
}
