import ReenvioModel

/// Reads the answer that nearly every receiver gives: one that came whole, with a length and nothing special about it.
/// Whatever is not exactly that, hostile answers included, is left to `AnswerReader`: this only ever says "plain" or
/// nothing.
enum PlainAnswer {
    private static let fieldsMax = 32

    /// Nil unless the bytes are one complete HTTP/1.1 answer with a `content-length`, neither more nor less, which the
    /// connection survives.
    static func read(_ bytes: UnsafeRawBufferPointer, limits: WireLimits) -> WireAnswer? {
        guard let status = statusCode(bytes), var place = endOfLine(bytes, from: 12) else { return nil }
        var answer = WireAnswer(statusCode: status)
        var length: Int?
        for _ in 0...fieldsMax {
            if place + 1 < bytes.count, bytes[place] == UInt8(ascii: "\r"), bytes[place + 1] == UInt8(ascii: "\n") {
                let body = place + 2
                guard let length, body <= limits.headBytes, length <= limits.bodyBytes, body + length == bytes.count
                else { return nil }
                // Bytes that begin so are in wide characters.
                if length > 0, bytes[body] >= 0xEF { return nil }
                answer.body = AnswerText.bytes(
                    of: Array(bytes[body...].prefix(limits.answerBytesKept + 3)), atMost: limits.answerBytesKept)
                return answer
            }
            guard let colon = endOfName(bytes, from: place), let next = endOfLine(bytes, from: colon + 1) else {
                return nil
            }
            let value = trimmed(bytes, colon + 1..<next - 2)
            switch field(UnsafeRawBufferPointer(rebasing: bytes[place..<colon])) {
            case .none: break
            case .contentLength:
                guard length == nil, let number = number(value) else { return nil }
                length = number
            case .retryAfter:
                guard answer.retryAfter == nil else { return nil }
                answer.retryAfter = String(decoding: value, as: UTF8.self)
            case .contentType where value.contains(UInt8(ascii: "=")) && !endsInUTF8(value):
                guard AnswerText.isPlain(String(decoding: value, as: UTF8.self)) else { return nil }
            case .contentType: break
            case .special: return nil
            }
            place = next
        }
        return nil
    }

    /// `charset=utf-8`, as most say it: known without taking the value apart.
    private static func endsInUTF8(_ value: Slice<UnsafeRawBufferPointer>) -> Bool {
        value.count > 5 && isEqual(UnsafeRawBufferPointer(rebasing: value.suffix(5)), "utf-8")
    }

    private enum Field {
        case contentLength, retryAfter, contentType
        /// Says how the message is framed, what becomes of the connection, or that the body is no plain text.
        case special
    }

    private static func field(_ name: UnsafeRawBufferPointer) -> Field? {
        switch name.count {
        case 14 where isEqual(name, "content-length"): .contentLength
        case 11 where isEqual(name, "retry-after"): .retryAfter
        case 12 where isEqual(name, "content-type"): .contentType
        case 10 where isEqual(name, "connection"), 10 where isEqual(name, "keep-alive"),
            17 where isEqual(name, "transfer-encoding"), 16 where isEqual(name, "proxy-connection"),
            7 where isEqual(name, "upgrade"), 7 where isEqual(name, "trailer"),
            16 where isEqual(name, "content-encoding"), 8 where isEqual(name, "location"):
            .special
        default: nil
        }
    }

    /// The status of an answer that has a body: not 1xx, 204 or 304.
    private static func statusCode(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count > 12, isEqual(UnsafeRawBufferPointer(rebasing: bytes[..<5]), "http/"),
            bytes[0] == UInt8(ascii: "H"), bytes[1] == UInt8(ascii: "T"), bytes[2] == UInt8(ascii: "T"),
            bytes[3] == UInt8(ascii: "P"), bytes[5] == UInt8(ascii: "1"), bytes[6] == UInt8(ascii: "."),
            bytes[7] == UInt8(ascii: "1"), bytes[8] == UInt8(ascii: " "), let status = number(bytes[9..<12]),
            bytes[12] == UInt8(ascii: " ") || bytes[12] == UInt8(ascii: "\r")
        else { return nil }
        return (200...599).contains(status) && status != 204 && status != 304 ? status : nil
    }

    /// The place behind the line's CR LF; nil where there is none, or something else that does not belong in a line.
    private static func endOfLine(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var place = start
        while place < bytes.count, (0x20...0x7E).contains(bytes[place]) || bytes[place] == 0x09 { place += 1 }
        guard place + 1 < bytes.count, bytes[place] == UInt8(ascii: "\r"), bytes[place + 1] == UInt8(ascii: "\n") else {
            return nil
        }
        return place + 2
    }

    /// The place of the colon behind a name of letters, digits and dashes.
    private static func endOfName(_ bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var place = start
        while place < bytes.count {
            switch bytes[place] {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"):
                place += 1
            case UInt8(ascii: ":"): return place > start ? place : nil
            default: return nil
            }
        }
        return nil
    }

    private static func trimmed(_ bytes: UnsafeRawBufferPointer, _ range: Range<Int>) -> Slice<UnsafeRawBufferPointer> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, bytes[start] == 0x20 || bytes[start] == 0x09 { start += 1 }
        while start < end, bytes[end - 1] == 0x20 || bytes[end - 1] == 0x09 { end -= 1 }
        return bytes[start..<end]
    }

    /// One to five digits and nothing else.
    private static func number(_ digits: Slice<UnsafeRawBufferPointer>) -> Int? {
        guard (1...5).contains(digits.count) else { return nil }
        var value = 0
        for digit in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
            value = value * 10 + Int(digit - UInt8(ascii: "0"))
        }
        return value
    }

    /// `lowercase` holds letters, dashes and slashes only, which bit 5 leaves alone.
    private static func isEqual(_ bytes: UnsafeRawBufferPointer, _ lowercase: StaticString) -> Bool {
        guard bytes.count == lowercase.utf8CodeUnitCount else { return false }
        for (place, byte) in bytes.enumerated() where byte | 0x20 != lowercase.utf8Start[place] { return false }
        return true
    }
}
