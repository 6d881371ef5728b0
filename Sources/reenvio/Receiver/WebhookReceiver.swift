import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ReenvioModel
import ServiceLifecycle
import Synchronization

/// A merchant's side for tests and the demo: verifies both signatures where it knows the secrets, counts, and answers
/// as it is told.
final class WebhookReceiver: Sendable {
    struct Stats: Sendable {
        var received = 0
        var acknowledged = 0
        var refused = 0
        var invalidSignatures = 0
        var resends = 0
        /// Answered 200 and forgotten.
        var lost = 0
        /// Acknowledged webhook ids, each with how often it was acknowledged.
        var acknowledgedIDs: [String: Int] = [:]
    }

    struct Behavior: Sendable {
        /// While losing, every request is answered with 200 and forgotten, as by a shop whose database went away.
        var isLosing = false
        /// Every Nth request is answered with 500; 0 means none.
        var failEvery = 0
        var delay: Duration = .zero
    }

    private struct State {
        var stats = Stats()
        var behavior: Behavior
    }

    private static let bodyBytesMax = 1 << 20

    private let state: Mutex<State>
    private let secrets: [SigningSecret]

    /// With no secrets nothing is verified.
    init(secrets: [SigningSecret], behavior: Behavior = Behavior()) {
        self.secrets = secrets
        state = Mutex(State(behavior: behavior))
    }

    var stats: Stats { state.withLock(\.stats) }

    func setLosing(_ isLosing: Bool) {
        state.withLock { $0.behavior.isLosing = isLosing }
    }

    func application(
        host: String, port: Int, onListening: @escaping @Sendable (SocketAddress?) async -> Void
    ) -> some ApplicationProtocol {
        let router = Router()
        router.get("/stats") { _, _ in self.statsAnswer() }
        router.post("**") { request, _ in try await self.receive(request) }
        var logger = Logger(label: "receiver")
        logger.logLevel = .error
        return Application(
            router: router, configuration: .init(address: .hostname(host, port: port)),
            onServerRunning: { await onListening($0.localAddress) }, logger: logger
        )
    }

    private func receive(_ request: Request) async throws -> Response {
        let body = try await request.body.collect(upTo: Self.bodyBytesMax)
        let id = Self.header(request, "webhook-id")
        let isGenuine = secrets.isEmpty || isGenuine(request, Array(body.readableBytesView))
        let (status, delay) = state.withLock { state -> (HTTPResponse.Status, Duration) in
            state.stats.received += 1
            if !Self.header(request, "x-webhook-resend").isEmpty { state.stats.resends += 1 }
            if !isGenuine { state.stats.invalidSignatures += 1 }
            let behavior = state.behavior
            let fails = behavior.failEvery > 0 && state.stats.received.isMultiple(of: behavior.failEvery)
            let status: HTTPResponse.Status =
                !isGenuine ? .unauthorized : fails ? .internalServerError : .ok
            if status == .ok, behavior.isLosing {
                state.stats.lost += 1
            } else if status == .ok {
                state.stats.acknowledged += 1
                state.stats.acknowledgedIDs[id, default: 0] += 1
            } else {
                state.stats.refused += 1
            }
            return (status, behavior.delay)
        }
        if delay > .zero { try await Task.sleep(for: delay) }
        return Response(status: status, body: .init(byteBuffer: ByteBuffer(string: "ok")))
    }

    /// Whether the signature of `docs/contract.md` 3.2 fits one of the known secrets.
    private func isGenuine(_ request: Request, _ body: [UInt8]) -> Bool {
        guard let timestamp = Int64(Self.header(request, "webhook-timestamp")) else { return false }
        let shown = Self.header(request, "webhook-signature").split(separator: " ").map(String.init)
        return secrets.contains { secret in
            let expected = WebhookSignature.standard(
                webhookID: Self.header(request, "webhook-id"), timestamp: timestamp, body: body, keys: [secret.key]
            )
            return shown.contains { ConstantTime.equal(Array($0.utf8), Array(expected.utf8)) }
        }
    }

    private static func header(_ request: Request, _ name: String) -> String {
        HTTPField.Name(name).flatMap { request.headers[$0] } ?? ""
    }

    private func statsAnswer() -> Response {
        let stats = stats
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("received", stats.received)
            writer.member("acknowledged", stats.acknowledged)
            writer.member("refused", stats.refused)
            writer.member("invalid_signatures", stats.invalidSignatures)
            writer.member("resends", stats.resends)
            writer.member("distinct_acknowledged", stats.acknowledgedIDs.count)
            writer.member("repeated", stats.acknowledgedIDs.values.count { $0 > 1 })
        }
        return Response(
            status: .ok, headers: [.contentType: "application/json"],
            body: .init(byteBuffer: ByteBuffer(bytes: writer.bytes))
        )
    }
}
