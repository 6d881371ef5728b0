import ReenvioEngine
import ReenvioModel
import Synchronization

/// Server-sent events, a bounded number at a time. Each stream ends by itself after a while, and a browser that still
/// looks asks again, with its session judged anew.
final class LiveStreams: Sendable {
    private let open = Mutex(0)
    private static let every: Duration = .seconds(1)

    /// Sends what `read` makes, once a second while it changes; it ends when that is the last.
    func answer(
        _ read: @escaping @Sendable () async throws -> (event: JSONObject, isLast: Bool)
    ) throws -> Answer {
        let isAdmitted = open.withLock { open in
            guard open < Limits.liveStreams else { return false }
            open += 1
            return true
        }
        guard isAdmitted else { throw Problem.tooManyRequests(retryAfterSeconds: 30) }
        let ticket = Ticket(self)
        return .streamed("text/event-stream", headers: ["Cache-Control": "no-store", "X-Accel-Buffering": "no"]) {
            write in
            defer { withExtendedLifetime(ticket) {} }
            let until = ContinuousClock.now + .seconds(Limits.liveStreamSeconds)
            var sent: [UInt8] = []
            try await write(Array("retry: 2000\n\n".utf8))
            while ContinuousClock.now < until {
                let (event, isLast) = try await read()
                var writer = JSONWriter()
                writer.value(.object(event))
                if writer.bytes != sent {
                    sent = writer.bytes
                    try await write(Array("data: ".utf8) + sent + Array("\n\n".utf8))
                } else {
                    // A comment, by which a connection that is gone is noticed.
                    try await write(Array(":\n\n".utf8))
                }
                if isLast { return }
                // A server that stops ends the stream; the browser asks the next one.
                guard (try? await Task.sleep(for: Self.every)) != nil else { return }
            }
        }
    }

    /// Gives the place back when the answer is gone, sent or not.
    private final class Ticket: Sendable {
        private let streams: LiveStreams

        init(_ streams: LiveStreams) {
            self.streams = streams
        }

        deinit {
            streams.open.withLock { $0 -= 1 }
        }
    }
}

extension JSONObject {
    /// Texts of fields of a page, by their `data-field`.
    static func fields(_ texts: [(name: String, text: String)]) -> JSONValue {
        var object = JSONObject()
        for (name, text) in texts { object.set(name, .string(text)) }
        return .object(object)
    }
}
