import ReenvioModel
import Testing

@Suite struct JSONParserTests {
    @Test(
        arguments: [
            ("null", .null), (" \t\r\n true \t\r\n ", .bool(true)), ("false", .bool(false)),
            ("[]", .array([])), ("[ ]", .array([])), ("{}", .object(JSONObject())), ("{ }", .object(JSONObject())),
            ("[null , [ ] ]", .array([.null, .array([])])),
            (#""""#, .string("")), (#""a/é€😀""#, .string("a/é€😀")), ("\"\u{7F}\"", .string("\u{7F}")),
            (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{C}\n\r\t")),
            (#""\u0041\u00e9\u20AC\ud83d\ude00""#, .string("Aé€😀")),
            (#""\u0000\uFFFD\uE000""#, .string("\u{0}\u{FFFD}\u{E000}")), ("\"\u{FFFD}\"", .string("\u{FFFD}")),
            (#""x\u0061y\u0062z""#, .string("xaybz")),
        ] as [(String, JSONValue)])
    func accepts(text: String, value: JSONValue) throws {
        #expect(try JSONParser.parse(text.utf8) == value)
    }

    @Test(arguments: [
        "0", "-0", "7", "-7", "10", "0.5", "-0.0", "1.50", "1e3", "1E3", "1e+03", "1e-3", "123.456e-789",
        "9223372036854775808", "100000000000000000000000000000000000000000000000000000000000.000000000000000000001",
    ])
    func keepsNumbersAsWritten(text: String) throws {
        guard case .number(let number) = try JSONParser.parse(text.utf8) else {
            Issue.record("\(text) is not read as a number")
            return
        }
        #expect(number.text == text)
        #expect(JSONNumber(text) == number)
    }

    /// Each with the number of bytes that are still good.
    @Test(arguments: [
        ("", 0), (" ", 1), ("[", 1), ("[1", 2), ("[1,", 3), ("{", 1), (#"{"a""#, 4), (#"{"a":"#, 5), (#"{"a":1"#, 6),
        (#"""#, 1), (#""a"#, 2), (#""\"#, 2), (#""\u00"#, 5), ("nul", 3), ("-", 1), ("1.", 2), ("1e", 2), ("1e+", 3),
    ])
    func refusesWhatEndsTooSoon(text: String, offset: Int) {
        #expect(fault(text) == JSONFault(reason: .unexpectedEnd, offset: offset))
    }

    @Test(arguments: [
        ("[1,]", 3), ("[,1]", 1), ("[1,,2]", 3), ("[1 2]", 3), ("[1}", 2), ("]", 0), ("[1]]", 3), ("{,}", 1),
        (#"{"a":1,}"#, 7), (#"{"a":1 "b":2}"#, 7), (#"{"a",1}"#, 4), (#"{"a"::1}"#, 5), ("{a:1}", 1), ("{'a':1}", 1),
        ("{1:1}", 1), ("{null:1}", 1), (#"{"a":1]"#, 6), ("{}{}", 2), ("1 2", 2), ("null,", 4), ("a", 0), ("01", 1),
        ("-01", 2), ("00", 1), ("+1", 0), (".5", 0), ("1.e3", 2), ("-.5", 1), ("- 1", 1), ("--1", 1), ("1e1.5", 3),
        ("0x1", 1), ("1_000", 1), ("1,000", 1), ("1f", 1), ("１", 0), ("NaN", 0), ("nan", 1), ("Infinity", 0),
        ("-Infinity", 1), ("True", 0), ("NULL", 0), ("nulL", 3), ("truee", 4), (#"["\x41"]"#, 3), (#"["\'"]"#, 3),
        (#"["\U0041"]"#, 3), (#"["\u004G"]"#, 7), (#"["\u 041"]"#, 4), (#"["\u+041"]"#, 4), (#"["\ "]"#, 3),
        ("\"\n\"", 1), ("\"\t\"", 1), ("\"\u{0}\"", 1), ("\"\u{1F}\"", 1), ("\"\\\n\"", 2), ("/**/1", 0), ("1//", 1),
        ("#1", 0), (" \u{FEFF}1", 1), ("1\u{0}", 1), ("\u{0}", 0), ("\u{A0}1", 0), ("\u{B}1", 0), ("1\u{C}", 1),
        ("'a'", 0), ("[\u{2028}]", 1),
    ])
    func refusesWhatIsNotJSON(text: String, offset: Int) {
        #expect(fault(text) == JSONFault(reason: .unexpectedByte, offset: offset))
    }

    @Test func namesAByteOrderMark() {
        #expect(fault("\u{FEFF}1") == JSONFault(reason: .byteOrderMark, offset: 0))
    }

    @Test(arguments: [
        #"\ud800"#, #"\udc00"#, #"\ud800\ud800"#, #"\ud800\u0041"#, #"\ud800\n"#, #"\ud800x\udc00"#, #"\udc00\ud800"#,
        #"\ud800\ue000"#,
    ])
    func refusesHalfASurrogatePair(escapes: String) {
        #expect(fault("\"x\(escapes)\"") == JSONFault(reason: .loneSurrogate, offset: 2))
    }

    @Test(
        arguments: [
            [0x80], [0xBF], [0xC3], [0xC3, 0x28], [0xE2, 0x82], [0xF0, 0x9F, 0x98],
            [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF], [0xF0, 0x80, 0x80, 0x80],
            [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF],
        ] as [[UInt8]])
    func refusesWhatIsNotUTF8(bytes: [UInt8]) {
        let quote = UInt8(ascii: "\"")
        let notUTF8 = JSONFault(reason: .notUTF8, offset: 1)
        #expect(fault([quote] + bytes + [quote]) == notUTF8)
        // Beside an escape the text is put together by another path.
        #expect(fault([quote] + bytes + Array(#"\u00e9""#.utf8)) == notUTF8)
        #expect(fault(Array(#""\n"#.utf8) + bytes + [quote]) == notUTF8)
        #expect(fault([UInt8(ascii: "{"), quote] + bytes + Array(#"":1}"#.utf8))?.reason == .notUTF8)
        #expect(fault(bytes) == JSONFault(reason: .unexpectedByte, offset: 0))
    }

    /// U+FFFF and U+10FFFF are no characters, and yet Unicode scalars.
    @Test func acceptsNoncharacters() throws {
        let value = try JSONParser.parse(#""\uFFFF\uDBFF\uDFFF""#.utf8)
        #expect(value.bytes == [0x22, 0xEF, 0xBF, 0xBF, 0xF4, 0x8F, 0xBF, 0xBF, 0x22])
        #expect(try JSONParser.parse(value.bytes) == value)
    }

    @Test(arguments: [
        (#"{"a":1,"a":1}"#, 7), (#"{"a":1,"b":2,"\u0061":3}"#, 13), (#"[{"x":{"":1,"":2}}]"#, 12),
        (#"{"é":1,"\u00e9":2}"#, 8), (#"{"a":{"a":1},"b":0,"a":2}"#, 19),
    ])
    func refusesRepeatedKeys(text: String, offset: Int) {
        #expect(fault(text) == JSONFault(reason: .repeatedKey, offset: offset))
    }

    @Test func refusesARepeatedKeyAmongMany() {
        let members = (0..<1_000).map { "\"\($0)\":1" }.joined(separator: ",")
        #expect(fault("{\(members),\"500\":1}")?.reason == .repeatedKey)
        #expect(fault("{\(members),\"\\u0039\\u0039\\u0039\":1}")?.reason == .repeatedKey)
    }

    /// Swift takes these for equal; JSON compares code points.
    @Test(arguments: [("K", "\u{212A}"), ("é", "e\u{301}"), (";", "\u{37E}"), ("q\u{307}\u{323}", "q\u{323}\u{307}")])
    func tellsKeysApartByTheirBytes(one: String, other: String) throws {
        #expect(one == other)
        let value = try JSONParser.parse("{\"\(one)\":1,\"\(other)\":2}".utf8)
        guard case .object(let object) = value else {
            Issue.record("not read as an object")
            return
        }
        #expect(object[one] == .number(try #require(JSONNumber("1"))))
        #expect(object[other] == .number(try #require(JSONNumber("2"))))
    }

    @Test func nestsToTheLimitAndNoDeeper() {
        func nested(_ open: String, _ close: String, _ depth: Int) -> String {
            String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
        }
        #expect(Limits.jsonDepth == 32)
        #expect(fault(nested("[", "]", 32)) == nil)
        #expect(fault(nested("[", "]", 33)) == JSONFault(reason: .tooDeep, offset: 32))
        #expect(fault(nested(#"{"a":"#, "}", 32)) == nil)
        #expect(fault(nested(#"{"a":"#, "}", 33)) == JSONFault(reason: .tooDeep, offset: 160))
        #expect(fault(nested(#"[{"a":"#, "}]", 16)) == nil)
        #expect(fault(nested(#"[{"a":"#, "}]", 17))?.reason == .tooDeep)
        #expect(fault(String(repeating: "[", count: 1_000_000))?.reason == .tooDeep)
        // Depth is not the number of containers.
        #expect(fault("[" + Array(repeating: "[[]]", count: 100).joined(separator: ",") + "]") == nil)
    }

    @Test func readsAnObjectOfVeryManyKeys() throws {
        let members = (0..<200_000).map { "\"key \($0)\":\($0)" }.joined(separator: ",")
        guard case .object(let object) = try JSONParser.parse("{\(members)}".utf8) else {
            Issue.record("not read as an object")
            return
        }
        #expect(object.members.count == 200_000)
        #expect(object.members.last?.key == "key 199999")
        #expect(object["key 123456"] == .number(try #require(JSONNumber("123456"))))
        #expect(object["key 200000"] == nil)
    }

    @Test func readsAnyCollectionOfBytes() throws {
        let text = #"{"a":[1,"é"]}"#
        let value = try JSONParser.parse(Array(text.utf8))
        #expect(try JSONParser.parse(text.utf8) == value)
        #expect(try JSONParser.parse(Array("x\(text)".utf8).dropFirst()) == value)
        // No contiguous storage here.
        #expect(try JSONParser.parse(text.utf8.lazy.map { $0 }) == value)
        #expect(fault([]) == JSONFault(reason: .unexpectedEnd, offset: 0))
    }

    /// Whatever is cut off or changed, the parser answers; it never reads past the end.
    @Test func survivesDamage() throws {
        let text = Array(#"{"a":[1,-2.5e+3,true,false,null],"\u00e9\ud83d\ude00":{"b":"ç\n"},"c":[]}"#.utf8)
        _ = try JSONParser.parse(text)
        for end in text.indices {
            #expect(fault(Array(text[..<end])) != nil)
        }
        for position in text.indices {
            for byte in UInt8.min...UInt8.max {
                var damaged = text
                damaged[position] = byte
                if let fault = fault(damaged) { #expect(fault.offset <= damaged.count) }
            }
        }
    }

    private func fault(_ text: String) -> JSONFault? {
        fault(Array(text.utf8))
    }

    private func fault(_ bytes: [UInt8]) -> JSONFault? {
        do throws(JSONFault) {
            _ = try JSONParser.parse(bytes)
            return nil
        } catch {
            return error
        }
    }
}
