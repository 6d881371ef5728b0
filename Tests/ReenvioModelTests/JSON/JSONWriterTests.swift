import ReenvioModel
import Testing

@Suite struct JSONWriterTests {
    /// The body of `docs/contract.md` 3.1.
    @Test func writesMembersInTheOrderOfTheCalls() {
        let text = written { json in
            json.object { json in
                json.member("id", 2_322_977)
                json.member("invoice", "575e8327-f145-48ff-b207-737eef2d6f3f")
                json.member("end_to_end", nil as String?)
                json.object("status") { json in
                    json.member("id", 6)
                    json.member("name", "Canceled")
                }
                json.member("updated_at", "2024-09-25 15:55:18")
            }
        }
        #expect(
            text == #"{"id":2322977,"invoice":"575e8327-f145-48ff-b207-737eef2d6f3f","end_to_end":null,"#
                + #""status":{"id":6,"name":"Canceled"},"updated_at":"2024-09-25 15:55:18"}"#)
    }

    @Test func putsCommasBetweenValuesAndNowhereElse() {
        let text = written { json in
            json.array { json in
                json.array { _ in }
                json.object { _ in }
                json.array { json in
                    json.value(1)
                    json.value("two")
                    json.value(false)
                    json.value(number: "4.50")
                }
                json.object { json in
                    json.array("empty") { _ in }
                    json.array("full") { $0.value(nil as Int64?) }
                    json.object("object") { _ in }
                    json.member("one value") { $0.array { $0.value(.null) } }
                    json.member("last", .bool(true))
                }
                json.value(nil as String?)
            }
        }
        #expect(
            text == #"[[],{},[1,"two",false,4.50],"#
                + #"{"empty":[],"full":[null],"object":{},"one value":[null],"last":true},null]"#)
    }

    @Test func writesNilAsNull() {
        let text = written { json in
            json.object { json in
                json.member("a", nil as String?)
                json.member("b", nil as Int64?)
                json.member("c", nil as Int?)
                json.member("d", nil as Bool?)
                json.member("e", number: nil)
            }
        }
        #expect(text == #"{"a":null,"b":null,"c":null,"d":null,"e":null}"#)
    }

    @Test func escapesOnlyWhatItMust() {
        #expect(written { $0.value("/ é € 😀 \u{7F} \u{2028} ' <>&") } == "\"/ é € 😀 \u{7F} \u{2028} ' <>&\"")
        #expect(written { $0.value("\"a\\b\"") } == #""\"a\\b\"""#)
        #expect(written { $0.value("\u{8}\t\n\u{C}\r") } == #""\b\t\n\f\r""#)
        #expect(written { $0.value("\u{0}\u{1}\u{F}\u{10}\u{1F} ") } == #""\u0000\u0001\u000f\u0010\u001f ""#)
        #expect(written { $0.object { $0.member("a\"\n", 1) } } == #"{"a\"\n":1}"#)
    }

    @Test func escapesEveryControlCharacterSoThatItReadsBack() throws {
        for code in UInt8.min...0x7F {
            let value = JSONValue.string("x\(Unicode.Scalar(code))y")
            #expect(try JSONParser.parse(value.bytes) == value)
        }
    }

    @Test(arguments: [0, 7, -7, 10, 100, 1_234_567_890, Int64.max, Int64.min])
    func writesIntegers(value: Int64) {
        #expect(written { $0.value(value) } == "\(value)")
        #expect(JSONValue.array([.null, .number(JSONNumber(value))]).bytes == Array("[null,\(value)]".utf8))
    }

    @Test func aValueIsReadBackAsItWasWritten() throws {
        for seed in UInt64(1)...500 {
            var random = SeededGenerator(state: seed)
            let value = JSONValue.random(depth: 4, using: &random)
            let bytes = value.bytes
            #expect(try JSONParser.parse(bytes) == value, "seed \(seed)")
            #expect(try JSONParser.parse(bytes).bytes == bytes, "seed \(seed)")
        }
    }

    private func written(_ body: (inout JSONWriter) -> Void) -> String {
        var json = JSONWriter(capacity: 64)
        body(&json)
        return String(decoding: json.bytes, as: UTF8.self)
    }
}

/// SplitMix64: the same values for the same seed, everywhere.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

extension JSONValue {
    fileprivate static func random(depth: Int, using random: inout SeededGenerator) -> JSONValue {
        switch Int.random(in: 0..<(depth == 0 ? 4 : 6), using: &random) {
        case 0: return .null
        case 1: return .bool(.random(using: &random))
        case 2: return number(using: &random)
        case 3: return .string(text(using: &random))
        case 4:
            var array: [JSONValue] = []
            for _ in 0..<Int.random(in: 0...5, using: &random) {
                array.append(Self.random(depth: depth - 1, using: &random))
            }
            return .array(array)
        default:
            var object = JSONObject()
            for _ in 0..<Int.random(in: 0...24, using: &random) {
                object.set(text(using: &random), Self.random(depth: depth - 1, using: &random))
            }
            return .object(object)
        }
    }

    private static func number(using random: inout SeededGenerator) -> JSONValue {
        let integer = Int64.random(in: .min ... .max, using: &random)
        let suffix = ["", ".0", ".250", "e7", "E-12", ".5e+400"].randomElement(using: &random) ?? ""
        return JSONNumber("\(integer)\(suffix)").map(JSONValue.number) ?? .null
    }

    private static func text(using random: inout SeededGenerator) -> String {
        let ranges: [ClosedRange<UInt32>] = [0...0x1F, 0x20...0x7F, 0x80...0x7FF, 0x800...0xD7FF, 0x1_0000...0x10_FFFF]
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...12, using: &random) {
            let range = ranges.randomElement(using: &random) ?? 0...0
            if let scalar = Unicode.Scalar(UInt32.random(in: range, using: &random)) { text.append(scalar) }
        }
        return String(text)
    }
}
