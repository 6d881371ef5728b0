import NIOCore
import NIOHTTP1
import NIOPosix
import ReenvioModel

/// A plain HTTP client for the demo: one connection a request, to this machine.
struct DemoClient: Sendable {
    struct Answer: Sendable {
        var status: Int
        var body: JSONObject
    }

    struct Failed: Error, CustomStringConvertible {
        var description: String
    }

    let host: String
    let port: Int
    let key: String

    func post(_ path: String, _ members: (inout JSONWriter) -> Void) async throws -> Answer {
        var writer = JSONWriter()
        writer.object(members)
        return try await call(.POST, path, writer.bytes)
    }

    func get(_ path: String) async throws -> Answer {
        try await call(.GET, path, [])
    }

    private func call(_ method: HTTPMethod, _ path: String, _ body: [UInt8]) async throws -> Answer {
        let head = head(method, path, length: body.count)
        let answered = MultiThreadedEventLoopGroup.singleton.any().makePromise(of: NIOHTTPClientResponseFull.self)
        let channel: any Channel
        do {
            channel = try await connect(answering: answered)
        } catch {
            answered.fail(error)
            throw error
        }
        channel.write(HTTPClientRequestPart.head(head), promise: nil)
        if !body.isEmpty {
            channel.write(HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
        }
        channel.writeAndFlush(HTTPClientRequestPart.end(nil), promise: nil)
        let response = try await answered.futureResult.get()
        channel.close(promise: nil)
        let bytes = response.body.map { Array($0.readableBytesView) } ?? []
        guard case .object(let object) = try JSONParser.parse(bytes) else {
            throw Failed(description: "\(path) did not answer with JSON")
        }
        return Answer(status: Int(response.head.status.code), body: object)
    }

    private func connect(answering answered: EventLoopPromise<NIOHTTPClientResponseFull>) async throws -> any Channel {
        try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(5))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let pipeline = channel.pipeline.syncOperations
                    try pipeline.addHTTPClientHandlers()
                    try pipeline.addHandler(NIOHTTPClientResponseAggregator(maxContentLength: 1 << 20))
                    try pipeline.addHandler(AnswerHandler(answered))
                }
            }
            .connect(host: host, port: port).get()
    }

    private func head(_ method: HTTPMethod, _ path: String, length: Int) -> HTTPRequestHead {
        var headers = HTTPHeaders()
        headers.add(name: "host", value: "\(host):\(port)")
        headers.add(name: "authorization", value: "Bearer \(key)")
        headers.add(name: "content-type", value: "application/json")
        headers.add(name: "connection", value: "close")
        if length > 0 { headers.add(name: "content-length", value: "\(length)") }
        return HTTPRequestHead(version: .http1_1, method: method, uri: path, headers: headers)
    }
}

private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = NIOHTTPClientResponseFull

    private let answered: EventLoopPromise<NIOHTTPClientResponseFull>

    init(_ answered: EventLoopPromise<NIOHTTPClientResponseFull>) {
        self.answered = answered
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        answered.succeed(unwrapInboundIn(data))
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        answered.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        answered.fail(ChannelError.eof)
    }
}

extension JSONObject {
    func integer(_ key: String) -> Int64 {
        guard case .number(let number) = self[key] else { return 0 }
        return number.integer ?? 0
    }

    func text(_ key: String) -> String {
        guard case .string(let text) = self[key] else { return "" }
        return text
    }
}
