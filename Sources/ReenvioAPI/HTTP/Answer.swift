package import HTTPTypes
package import Hummingbird
package import Logging
import NIOCore
import ReenvioEngine
package import ReenvioModel

/// What an endpoint answers: a status and JSON bytes, or a body too large for memory.
package struct Answer: Sendable {
    /// Writes a body piece by piece; `write` returns once the connection takes more.
    package typealias Stream = @Sendable (_ write: ([UInt8]) async throws -> Void) async throws -> Void

    package var status: Int
    package var body: [UInt8]
    package var headers: [String: String]
    /// Makes the body while it is sent, instead of `body`.
    package var stream: Stream?

    /// Marks an answer that was given before (`docs/contract.md` 13.8).
    package static let replayed = ["Idempotent-Replayed": "true"]

    package init(status: Int, body: [UInt8], headers: [String: String] = [:]) {
        self.status = status
        self.body = body
        self.headers = headers
    }

    package static func json(
        _ status: Int = 200, headers: [String: String] = [:], _ members: (inout JSONWriter) -> Void
    ) -> Answer {
        var writer = JSONWriter()
        writer.object(members)
        return Answer(status: status, body: writer.bytes, headers: headers)
    }

    package init(_ problem: Problem) {
        self.init(status: problem.status, body: problem.body, headers: problem.headers)
    }

    /// A body of another type, made while it is sent. An error in the middle closes the connection without an end, so
    /// that nobody takes what came for a whole answer.
    package static func streamed(
        _ contentType: String, headers: [String: String] = [:], _ stream: @escaping Stream
    ) -> Answer {
        var answer = Answer(status: 200, body: [], headers: headers)
        answer.headers["Content-Type"] = contentType
        answer.stream = stream
        return answer
    }

    package func response(requestID: String, logger: Logger) -> Response {
        var fields = HTTPFields()
        fields[.contentType] = "application/json"
        if let name = HTTPField.Name("x-request-id") { fields[name] = requestID }
        for (key, value) in headers {
            if let name = HTTPField.Name(key) { fields[name] = value }
        }
        return Response(
            status: HTTPResponse.Status(code: status), headers: fields,
            body: stream.map { Self.body($0, requestID: requestID, logger: logger) }
                ?? ResponseBody(byteBuffer: ByteBuffer(bytes: body))
        )
    }

    private static func body(_ stream: @escaping Stream, requestID: String, logger: Logger) -> ResponseBody {
        // Read here: the request is over when the body is made.
        let trace = Traces.current
        return ResponseBody { writer in
            do {
                try await stream { piece in
                    do {
                        try await writer.write(ByteBuffer(bytes: piece))
                    } catch {
                        throw ClientLeft()
                    }
                }
            } catch let error as ClientLeft {
                throw error
            } catch {
                var metadata: Logger.Metadata = ["request": "\(requestID)", "error": "\(error)"]
                metadata["trace"] = trace.map { "\($0.traceID)" }
                logger.error("answer broken off", metadata: metadata)
                throw error
            }
            try await writer.finish(nil)
        }
    }

    /// Whoever asked closed the connection: nothing of ours failed.
    private struct ClientLeft: Error {}
}
