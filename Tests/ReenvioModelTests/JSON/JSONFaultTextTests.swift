import ReenvioModel
import Testing

/// What the author of a malformed body is told: the reason and the place (`docs/contract.md` 10).
struct JSONFaultTextTests {
    private func text(_ bytes: [UInt8]) throws -> String? {
        do {
            _ = try JSONParser.parse(bytes)
            return nil
        } catch {
            return error.text(in: bytes)
        }
    }

    @Test(arguments: [
        ("", "The body is empty."),
        ("{", "The JSON ends too early at line 1, column 2 (byte 2)."),
        ("{}x", "The JSON has an unexpected character at line 1, column 3 (byte 3)."),
        ("{\n  \"a\": 1,\n}", "The JSON has an unexpected character at line 3, column 1 (byte 13)."),
        ("{\"é\":é}", "The JSON has an unexpected character at line 1, column 6 (byte 7)."),
        ("{\r\n\"a\":1,\r\n\"a\":2}", "The JSON repeats a key at line 3, column 1 (byte 12)."),
        (#"{"a":"\ud800"}"#, "The text has half of a surrogate pair at line 1, column 7 (byte 7)."),
        ("\u{FEFF}{}", "The body begins with a byte order mark; JSON is sent without one."),
        (
            String(repeating: "[", count: 33) + String(repeating: "]", count: 33),
            "The JSON nests deeper than 32 at line 1, column 33 (byte 33)."
        ),
    ])
    func saysWhatAndWhere(_ body: String, _ expected: String) throws {
        #expect(try text(Array(body.utf8)) == expected)
    }

    @Test func saysOfBytesThatAreNoText() throws {
        let invalid = Array(#"{"a":"#.utf8) + [UInt8(ascii: "\""), 0xC3, 0x28, UInt8(ascii: "\""), UInt8(ascii: "}")]
        #expect(try text(invalid) == "The text is not UTF-8 at line 1, column 7 (byte 7).")
        #expect(try text([0x1F, 0x8B, 0x08, 0x00]) == "The body is compressed (gzip), not JSON.")
    }
}
