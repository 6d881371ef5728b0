import ReenvioModel
import Testing

@Suite struct FieldReaderTests {
    /// What `read` makes of `{"f": value}`, and the faults that it finds.
    private func field<T>(
        _ value: String?, _ read: (inout FieldReader, String) -> T
    ) throws -> (value: T, faults: String) {
        var fields = FieldReader(try jsonObject(value.map { #"{"f":\#($0)}"# } ?? "{}"))
        let result = read(&fields, "f")
        return (result, rendered(fields.faults))
    }

    static let required = #"{"f":["The f field is required."]}"#

    @Test(
        arguments: [
            (nil, nil, "{}"), ("null", nil, "{}"), (#""""#, nil, "{}"), (#"" ""#, " ", "{}"), (#""a""#, "a", "{}"),
            (#""abc""#, "abc", "{}"),
            (#""abcd""#, nil, #"{"f":["The f field must not be longer than 3 characters."]}"#),
            (#""ééé""#, "ééé", "{}"), ("1", nil, #"{"f":["The f field must be a string."]}"#),
            ("false", nil, #"{"f":["The f field must be a string."]}"#),
        ] as [(String?, String?, String)])
    func readsTexts(value: String?, text: String?, faults: String) throws {
        let result = try field(value) { $0.string($1, max: 3) }
        #expect(result.value == text)
        #expect(result.faults == faults)
    }

    /// Bounded and free of control characters, whatever the field (`docs/contract.md` 2.1).
    @Test(
        arguments: [
            ("caf\u{e9}", nil, nil), (String(repeating: "a", count: 255), nil, nil),
            (String(repeating: "a", count: 256), "not be longer than 255 characters", "same"),
            (String(repeating: "\u{e9}", count: 256), "not be longer than 255 characters", "same"),
            ("a\u{0}b", "not contain U+0000", "same"), ("a\u{1b}[2J", "not contain control characters", "same"),
            ("a\u{7f}", "not contain control characters", "same"),
            ("a\u{9b}2J", "not contain control characters", "same"),
            ("a\nb", "not contain control characters", nil), ("a\r\tb", "not contain control characters", nil),
        ] as [(String, String?, String?)])
    func boundsTexts(text: String, fault: String?, ofLines: String?) throws {
        #expect(TextRule.fault(of: text) == fault.map { "must \($0)" })
        #expect(TextRule.fault(of: text, lines: true) == ofLines.flatMap { _ in fault }.map { "must \($0)" })
        var writer = JSONWriter()
        writer.value(text)
        let read = try field(String(decoding: writer.bytes, as: UTF8.self)) { $0.string($1) }
        #expect(read.value == (fault == nil ? text : nil))
        #expect(read.faults == (fault.map { #"{"f":["The f field must \#($0)."]}"# } ?? "{}"))
    }

    @Test(arguments: [nil, "null", #""""#])
    func asksForATextThatMustBe(value: String?) throws {
        let result = try field(value) { $0.string($1, required: true) }
        #expect(result.value == nil)
        #expect(result.faults == Self.required)
    }

    /// Digits with an optional minus, no point, no exponent, 64 bits (`docs/contract.md` 2.1).
    @Test(
        arguments: [
            ("0", 0), ("303", 303), ("-5", -5), ("-0", 0), ("9223372036854775807", .max),
            ("-9223372036854775808", .min),
            ("9223372036854775808", nil), ("-9223372036854775809", nil), ("303.0", nil), ("1e2", nil), ("1E0", nil),
            (#""303""#, nil), (#""""#, nil), ("true", nil), ("[1]", nil), ("{}", nil),
        ] as [(String, Int64?)])
    func readsIntegers(value: String, integer: Int64?) throws {
        let result = try field(value) { $0.integer($1, required: true) }
        #expect(result.value == integer)
        #expect(result.faults == (integer == nil ? #"{"f":["The f field must be an integer."]}"# : "{}"))
    }

    @Test(arguments: [nil, "null"])
    func asksForAnIntegerThatMustBe(value: String?) throws {
        #expect(try field(value) { $0.integer($1, required: true) }.faults == Self.required)
        #expect(try field(value) { $0.integer($1) }.faults == "{}")
    }

    @Test(
        arguments: [
            (nil, nil, true), ("null", nil, true), ("true", true, true), ("false", false, true), ("1", nil, false),
            ("0", nil, false), (#""true""#, nil, false), (#""""#, nil, false), ("[]", nil, false), ("{}", nil, false),
        ] as [(String?, Bool?, Bool)])
    func readsBooleans(value: String?, boolean: Bool?, passes: Bool) throws {
        let result = try field(value) { $0.boolean($1) }
        #expect(result.value == boolean)
        #expect(result.faults == (passes ? "{}" : #"{"f":["The f field must be true or false."]}"#))
    }

    @Test func nestsPaths() throws {
        var fields = FieldReader(try jsonObject(#"{"a":{"b":{"c":1}},"d":null,"e":5}"#))
        let deep = fields.nested("a") { $0.nested("b") { $0.string("c") } ?? nil } ?? nil
        #expect(deep == nil)
        #expect(fields.nested("d") { $0.string("x", required: true) } == nil)
        #expect(fields.nested("e") { $0.string("x", required: true) } == nil)
        _ = fields.nestedOrEmpty("d") { $0.string("x", required: true) }
        #expect(
            rendered(fields.faults)
                == #"{"a.b.c":["The a.b.c field must be a string."],"e":["The e field must be an object."],"#
                + #""d.x":["The d.x field is required."]}"#)
        #expect(throws: fields.faults) { try fields.throwFaults() }
    }

    @Test func throwsNothingWithoutFaults() throws {
        try FieldReader(JSONObject()).throwFaults()
    }
}
