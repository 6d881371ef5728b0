/// A receiver's answer as text for people (`docs/contract.md` 13.10): expanded, read in the character set that it
/// declares, and short. Values in, values out; nothing that a receiver sends costs more than a few kilobytes.
package enum AnswerText {
    /// Encodings on top of each other that are undone.
    private static let codingsMax = 3
    /// Bytes of other sets that a byte of UTF-8 may take: four for UTF-32.
    private static let widest = 4
    package static let locationBytesMax = 500

    /// Whether an answer of that `Content-Type` is shown as it came: in UTF-8, or without a word about its characters.
    package static func isPlain(_ contentType: String?) -> Bool {
        guard let charset = charset(contentType) else { return true }
        return ["utf-8", "utf8", "us-ascii", "ascii"].contains(charset)
    }

    /// The first `limit` bytes of the text in UTF-8, whole characters. What cannot be expanded or read stays as it is.
    package static func bytes(
        of raw: [UInt8], contentType: String? = nil, codings: [String] = [], atMost limit: Int
    ) -> [UInt8] {
        let expanded = codings.isEmpty ? raw : expand(raw, codings, atMost: widest * limit)
        if expanded.starts(with: [0xEF, 0xBB, 0xBF]) { return cut(Array(expanded.dropFirst(3)), atMost: limit) }
        guard let charset = byteOrder(expanded) ?? charset(contentType) else { return cut(expanded, atMost: limit) }
        guard let text = decode(expanded, charset) else { return cut(expanded, atMost: limit) }
        return cut(Array(text.utf8), atMost: limit)
    }

    /// Where a redirect points: without what may be secret, user info, query and fragment, and not too long.
    package static func location(_ value: [UInt8]) -> String? {
        let text = String(decoding: cut(value, atMost: locationBytesMax), as: UTF8.self)
        let place = text.prefix { $0 != "?" && $0 != "#" }
        // Whatever a browser may take for an authority: behind a scheme, behind slashes of either kind.
        var start = place.startIndex
        if let colon = place.firstIndex(of: ":"), place[..<colon].allSatisfy({ $0.isASCII && $0.isLetter }) {
            start = place.index(after: colon)
        }
        start = place[start...].firstIndex { $0 != "/" && $0 != "\\" } ?? place.endIndex
        let authority = place[start...].prefix { $0 != "/" && $0 != "\\" }
        guard let at = authority.lastIndex(of: "@") else { return place.isEmpty ? nil : String(place) }
        return String(place[..<start]) + String(place[place.index(after: at)...])
    }

    /// The text for a page: characters that move the cursor, turn the direction or are not seen become visible ones.
    package static func harmless(_ text: String) -> String {
        var shown = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x09, 0x0A: shown.append(scalar)
            case 0x0D: continue
            // The pictures of control characters.
            case 0...0x1F: shown.append(Unicode.Scalar(0x2400 + scalar.value) ?? "\u{FFFD}")
            case 0x7F: shown.append("\u{2421}")
            case 0x80...0x9F, 0x200B...0x200F, 0x2028...0x202E, 0x2060...0x2069, 0xFEFF: shown.append("\u{FFFD}")
            default: shown.append(scalar)
            }
        }
        return String(shown)
    }

    // MARK: Steps

    private static func expand(_ raw: [UInt8], _ codings: [String], atMost limit: Int) -> [UInt8] {
        guard codings.count <= codingsMax else { return raw }
        var bytes = raw
        for coding in codings.reversed() {
            let wrapper: Inflater.Wrapper
            switch coding {
            case "identity": continue
            case "gzip", "x-gzip": wrapper = .gzip
            case "deflate": wrapper = .zlib
            default: return raw
            }
            guard let expanded = Inflater.inflate(bytes, wrapper, atMost: limit) else { return raw }
            bytes = expanded
        }
        return bytes
    }

    /// The value of the parameter `charset`, in lower case, without quotes.
    private static func charset(_ contentType: String?) -> String? {
        guard let contentType else { return nil }
        for parameter in contentType.split(separator: ";").dropFirst() {
            let parts = parameter.split(separator: "=", maxSplits: 1).map { $0.filter { !" \t\"'".contains($0) } }
            if parts.count == 2, parts[0].lowercased() == "charset", !parts[1].isEmpty { return parts[1].lowercased() }
        }
        return nil
    }

    /// What a mark at the beginning says, whatever was declared.
    private static func byteOrder(_ bytes: [UInt8]) -> String? {
        if bytes.starts(with: [0xFF, 0xFE, 0, 0]) { return "utf-32le" }
        if bytes.starts(with: [0, 0, 0xFE, 0xFF]) { return "utf-32be" }
        if bytes.starts(with: [0xFF, 0xFE]) { return "utf-16le" }
        return bytes.starts(with: [0xFE, 0xFF]) ? "utf-16be" : nil
    }

    /// Nil for a set that is not known, or that needs nothing.
    private static func decode(_ bytes: [UInt8], _ charset: String) -> String? {
        switch charset {
        case "utf-16", "utf-16be", "unicode": return utf16(bytes, high: 0)
        case "utf-16le": return utf16(bytes, high: 1)
        case "utf-32", "utf-32be": return utf32(bytes, littleEndian: false)
        case "utf-32le": return utf32(bytes, littleEndian: true)
        default:
            guard let upper = SingleByteCharset.upperHalf(of: charset), upper.count == 128 else { return nil }
            var text = String.UnicodeScalarView()
            for byte in bytes { text.append(byte < 0x80 ? Unicode.Scalar(byte) : upper[Int(byte) - 0x80]) }
            return String(text)
        }
    }

    private static func utf16(_ bytes: [UInt8], high: Int) -> String {
        let units = stride(from: 0, to: bytes.count - 1, by: 2).map { place in
            UInt16(bytes[place + high]) << 8 | UInt16(bytes[place + 1 - high])
        }
        return String(decoding: units.first == 0xFEFF ? units.dropFirst() : units[...], as: UTF16.self)
    }

    private static func utf32(_ bytes: [UInt8], littleEndian: Bool) -> String {
        var text = String.UnicodeScalarView()
        for place in stride(from: 0, to: bytes.count - 3, by: 4) {
            let unit = bytes[place..<place + 4]
            let value = (littleEndian ? Array(unit.reversed()) : Array(unit)).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            if value != 0xFEFF || place > 0 { text.append(Unicode.Scalar(value) ?? "\u{FFFD}") }
        }
        return String(text)
    }

    /// At most `limit` bytes, without a part of a character at the end.
    private static func cut(_ bytes: [UInt8], atMost limit: Int) -> [UInt8] {
        guard bytes.count > limit else { return bytes }
        let kept = bytes.prefix(limit)
        guard let lead = kept.indices.suffix(3).last(where: { kept[$0] & 0xC0 != 0x80 }) else { return Array(kept) }
        let length = kept[lead] >= 0xF0 ? 4 : kept[lead] >= 0xE0 ? 3 : kept[lead] >= 0xC0 ? 2 : 1
        return Array(lead + length > limit ? kept[..<lead] : kept)
    }
}
