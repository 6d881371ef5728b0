extension JSONFault {
    /// What is wrong with a body, and where: for its author. Nothing of the body itself is repeated.
    package func text(in bytes: some Collection<UInt8>) -> String {
        switch reason {
        case .byteOrderMark: return "The body begins with a byte order mark; JSON is sent without one."
        case .unexpectedEnd where bytes.isEmpty: return "The body is empty."
        case .unexpectedByte where bytes.starts(with: [0x1F, 0x8B]): return "The body is compressed (gzip), not JSON."
        default: return "\(what) at \(place(in: bytes))."
        }
    }

    private var what: String {
        switch reason {
        case .unexpectedByte: "The JSON has an unexpected character"
        case .unexpectedEnd: "The JSON ends too early"
        case .tooDeep: "The JSON nests deeper than \(Limits.jsonDepth)"
        case .repeatedKey: "The JSON repeats a key"
        case .notUTF8: "The text is not UTF-8"
        case .loneSurrogate: "The text has half of a surrogate pair"
        case .byteOrderMark: "The JSON begins with a byte order mark"
        }
    }

    /// Lines and columns count from 1, columns in characters.
    private func place(in bytes: some Collection<UInt8>) -> String {
        var line = 1
        var column = 1
        for byte in bytes.prefix(offset) {
            if byte == UInt8(ascii: "\n") {
                line += 1
                column = 1
            } else if byte & 0xC0 != 0x80 {
                column += 1
            }
        }
        return "line \(line), column \(column) (byte \(offset + 1))"
    }
}
