package import HTTPTypes
package import Hummingbird
import NIOCore
package import ReenvioModel

/// What an endpoint answers: a status and JSON bytes.
package struct Answer: Sendable {
    package var status: Int
    package var body: [UInt8]
    package var headers: [String: String]

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

    package func response(requestID: String) -> Response {
        var fields = HTTPFields()
        fields[.contentType] = "application/json"
        if let name = HTTPField.Name("x-request-id") { fields[name] = requestID }
        for (key, value) in headers {
            if let name = HTTPField.Name(key) { fields[name] = value }
        }
        return Response(
            status: HTTPResponse.Status(code: status), headers: fields,
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body))
        )
    }
}
