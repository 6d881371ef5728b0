import Foundation
import NIOCore

/// The little of HTTP/1.1 that the benchmarks read: where a message ends, and the few fields they look at. No chunks:
/// both sides are programs that we know.
struct Scan {
    /// Head and body together, in bytes.
    var length: Int
    var bodyLength: Int
    /// The status code of an answer; 0 for a request.
    var status = 0
    /// A hash of the `webhook-id`; 0 without one.
    var webhookID: UInt64 = 0

    /// The first message in `bytes`; nil while it is not complete.
    static func message(in bytes: UnsafeRawBufferPointer) -> Scan? {
        guard let start = bytes.baseAddress else { return nil }
        var scan = Scan(length: 0, bodyLength: 0)
        var line = 0
        while line < bytes.count, let found = memchr(start + line, newline, bytes.count - line) {
            let next = start.distance(to: UnsafeRawPointer(found)) + 1
            if next - line <= 2 {
                scan.length = next + scan.bodyLength
                guard scan.length <= bytes.count else { return nil }
                if bytes.starts(with: Self.answerStart) { scan.status = number(bytes, at: 9) }
                return scan
            }
            switch bytes[line] | 0x20 {
            case UInt8(ascii: "c") where matches(bytes, at: line, "content-length:"):
                scan.bodyLength = number(bytes, at: line + 15)
            case UInt8(ascii: "w") where matches(bytes, at: line, "webhook-id:"):
                scan.webhookID = hash(bytes[(line + 11)..<(next - 2)])
            default: break
            }
            line = next
        }
        return nil
    }

    /// The whole number at an offset, after spaces.
    static func number(_ bytes: UnsafeRawBufferPointer, at offset: Int) -> Int {
        var index = offset
        while index < bytes.count, bytes[index] == UInt8(ascii: " ") { index += 1 }
        var value = 0
        while index < bytes.count, case let digit = Int(bytes[index]) - 48, (0...9).contains(digit) {
            value = value &* 10 &+ digit
            index += 1
        }
        return value
    }

    private static let newline = Int32(UInt8(ascii: "\n"))
    private static let answerStart = Array("HTTP/1.1 ".utf8)

    /// `name` is in lower case; `-` and `:` have the bit 0x20 already.
    private static func matches(_ bytes: UnsafeRawBufferPointer, at offset: Int, _ name: StaticString) -> Bool {
        guard offset + name.utf8CodeUnitCount <= bytes.count else { return false }
        for index in 0..<name.utf8CodeUnitCount where bytes[offset + index] | 0x20 != name.utf8Start[index] {
            return false
        }
        return true
    }

    /// FNV-1a.
    private static func hash(_ bytes: Slice<UnsafeRawBufferPointer>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return hash
    }
}

extension ByteBuffer {
    /// Takes the next complete message out of the buffer; nil while there is none. `body` sees the bytes of its body.
    mutating func takeMessage(_ body: (Scan, UnsafeRawBufferPointer) -> Void) -> Bool {
        let length = withUnsafeReadableBytes { bytes -> Int in
            guard let scan = Scan.message(in: bytes) else { return 0 }
            body(scan, UnsafeRawBufferPointer(rebasing: bytes[(scan.length - scan.bodyLength)..<scan.length]))
            return scan.length
        }
        moveReaderIndex(forwardBy: length)
        return length > 0
    }
}

/// What came in and is not yet a whole message.
struct Unread {
    private var buffer: ByteBuffer?

    /// Adds what was read and hands out every message that is complete.
    mutating func read(_ read: ByteBuffer, _ body: (Scan, UnsafeRawBufferPointer) -> Void) {
        var all = read
        if var before = buffer {
            before.writeImmutableBuffer(read)
            all = before
            buffer = nil
        }
        while all.readableBytes > 0, all.takeMessage(body) {}
        if all.readableBytes > 0 { buffer = all }
    }
}
