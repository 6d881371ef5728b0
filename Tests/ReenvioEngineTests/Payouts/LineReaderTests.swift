import ReenvioEngine
import Testing

/// Lines out of a stream that comes in pieces of any size.
struct LineReaderTests {
    private struct Broken: Error {}

    /// The lines as texts; nil stands for one that is too long.
    private func lines(_ bytes: [UInt8], pieces: Int, max: Int = 8) throws -> [String?] {
        var rest = bytes[...]
        var reader = LineReader(lineBytesMax: max) {
            defer { rest = rest.dropFirst(pieces) }
            return Array(rest.prefix(pieces))
        }
        var lines: [String?] = []
        while let line = try reader.next() {
            switch line {
            case .text(let bytes): lines.append(String(decoding: bytes, as: UTF8.self))
            case .tooLong: lines.append(nil)
            }
        }
        #expect(reader.bytesRead == bytes.count)
        #expect(try reader.next() == nil, "the end stays the end")
        return lines
    }

    @Test(
        "cut at LF and CRLF, bounded, the first without its byte order mark", arguments: [1, 2, 3, 7, 1_000],
        [
            ("", []),
            ("\n", [""]),
            ("a", ["a"]),
            ("a\n", ["a"]),
            ("a\nb", ["a", "b"]),
            ("a\r\nb\r\n", ["a", "b"]),
            ("a\n\n\r\n b\n", ["a", "", "", " b"]),
            ("a\rb\n", ["a\rb"]),
            ("a\r\r\n", ["a\r"]),
            ("12345678\n", ["12345678"]),
            ("12345678\r\n12345678", ["12345678", "12345678"]),
            ("123456789\nb\n", [nil, "b"]),
            ("123456789\r\nb\n", [nil, "b"]),
            ("a\n123456789", ["a", nil]),
            ("12345678901234567890123456789012345678901234567890\nb\n123456789\n", [nil, "b", nil]),
            ("12345678901234567890123456789012345678901234567890", [nil]),
            ("\u{FEFF}12345678\r\n\u{FEFF}b\n", ["12345678", "\u{FEFF}b"]),
            ("\u{FEFF}", [""]),
            ("\u{FEFF}\na", ["", "a"]),
        ] as [(String, [String?])])
    func cuts(pieces: Int, text: (String, [String?])) throws {
        #expect(try lines(Array(text.0.utf8), pieces: pieces) == text.1)
    }

    @Test("a failure to read is the caller's to see, after the lines before it")
    func failure() throws {
        var reads = 0
        var reader = LineReader(lineBytesMax: 8) {
            reads += 1
            if reads > 1 { throw Broken() }
            return Array("a\nb".utf8)
        }
        #expect(try reader.next() == .text(Array("a".utf8)[...]))
        #expect(throws: Broken.self) { try reader.next() }
    }
}
