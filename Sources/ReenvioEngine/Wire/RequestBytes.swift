import NIOCore
import ReenvioModel

/// A request as the bytes that go on the wire, in one buffer.
enum RequestBytes {
    /// Header names that the wire writes itself or that would change where the request ends.
    private static let reserved: Set<String> = [
        "host", "accept", "content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "te", "trailer",
        "expect",
    ]

    /// Whether nothing in the request can end a line early or contradict what the wire writes. The lines come from
    /// us, but some of their values come from stored rows.
    static func areSafe(_ request: WireRequest) -> Bool {
        isVisible(request.url.target) && request.url.target.utf8.first == UInt8(ascii: "/")
            && isVisible(request.url.hostHeader)
            && request.headers.allSatisfy {
                isToken($0.name) && !isReserved($0.name) && HeaderLines.isFieldValue($0.value.utf8)
            }
    }

    /// The request in one buffer; nil when a late header line is not safe.
    static func make(_ request: WireRequest, allocator: ByteBufferAllocator) -> ByteBuffer? {
        var buffer = allocator.buffer(capacity: capacity(request))
        buffer.writeStaticString("POST ")
        buffer.writeString(request.url.target)
        buffer.writeStaticString(" HTTP/1.1\r\nhost: ")
        buffer.writeString(request.url.hostHeader)
        // Firewalls' common rule sets take a request without `Accept` for a robot's.
        buffer.writeStaticString("\r\naccept: */*\r\ncontent-length: ")
        buffer.writeString(String(request.body.count))
        for header in request.headers {
            buffer.writeStaticString("\r\n")
            buffer.writeString(header.name)
            buffer.writeStaticString(": ")
            buffer.writeString(header.value)
        }
        var lines = HeaderLines(buffer)
        // The lines hold the only reference, so that writing them does not copy the buffer.
        buffer = ByteBuffer()
        request.lateHeaders(&lines)
        guard lines.isSafe else { return nil }
        lines.buffer.writeStaticString("\r\n\r\n")
        lines.buffer.writeBytes(request.body)
        return lines.buffer
    }

    /// Room enough for the usual request without growing the buffer.
    private static func capacity(_ request: WireRequest) -> Int {
        request.headers.reduce(640 + request.url.target.utf8.count + request.body.count) {
            $0 + $1.name.utf8.count + $1.value.utf8.count + 4
        }
    }

    private static func isVisible(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }

    private static func isReserved(_ name: String) -> Bool {
        switch name.utf8.count {
        case 2, 4, 6, 7, 10, 14, 17: reserved.contains(name.lowercased())
        default: false
        }
    }
}
