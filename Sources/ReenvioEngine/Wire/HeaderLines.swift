import NIOCore

/// Header lines on their way into the bytes of a request. Names are ours; a value that could end its line early makes
/// the whole request unsafe, and it is not sent.
package struct HeaderLines {
    var buffer: ByteBuffer
    private(set) var isSafe = true

    init(_ buffer: ByteBuffer) {
        self.buffer = buffer
    }

    /// An empty block, for transports that are not a network.
    package init() {
        buffer = ByteBuffer()
    }

    package mutating func add(_ name: StaticString, _ value: String) {
        add(name: name)
        var value = value
        let isFieldValue = value.withUTF8 { bytes in
            buffer.writeBytes(UnsafeRawBufferPointer(bytes))
            return Self.isFieldValue(bytes)
        }
        if !isFieldValue { isSafe = false }
    }

    package mutating func add(_ name: StaticString, _ value: Int64) {
        add(name: name)
        buffer.writeString(String(value))
    }

    private mutating func add(name: StaticString) {
        buffer.writeStaticString("\r\n")
        buffer.writeStaticString(name)
        buffer.writeStaticString(": ")
    }

    /// The lines again, one pair each.
    package var pairs: [(name: String, value: String)] {
        String(buffer: buffer).split(separator: "\r\n").map { line in
            let parts = line.split(separator: ": ", maxSplits: 1)
            return (String(parts.first ?? ""), parts.count > 1 ? String(parts[1]) : "")
        }
    }

    static func isFieldValue(_ bytes: some Sequence<UInt8>) -> Bool {
        bytes.allSatisfy { ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 }
    }
}
