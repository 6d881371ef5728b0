import ReenvioModel
import Testing

@Suite struct JSONValueTests {
    @Test(
        arguments: [
            ("0", 0), ("-0", 0), ("42", 42), ("-42", -42),
            ("9223372036854775807", Int64.max), ("-9223372036854775808", Int64.min),
            ("9223372036854775808", nil), ("-9223372036854775809", nil), ("100000000000000000000", nil),
            ("1.0", nil), ("1e3", nil), ("1E0", nil), ("-0.0", nil),
        ] as [(String, Int64?)])
    func integersHaveNoPointNoExponentAnd64Bits(text: String, integer: Int64?) throws {
        #expect(try #require(JSONNumber(text)).integer == integer)
    }

    @Test(arguments: ["", " 1", "1 ", "+1", "01", "1.", ".1", "0x1", "1_0", "NaN", "null", "\"1\"", "１"])
    func numbersFollowTheGrammar(text: String) {
        #expect(JSONNumber(text) == nil)
    }

    /// More members than are searched one by one, and fewer.
    @Test(arguments: [3, 16, 17, 18, 100])
    func objectsKeepOrderAndFindTheirMembers(count: Int) {
        var object = JSONObject()
        let keys = (0..<count).map { "key \(count - $0)" }
        for key in keys {
            let isNew = object.insert(key, .string(key))
            #expect(isNew)
        }
        for key in keys {
            let isNew = object.insert(key, .null)
            #expect(!isNew)
            #expect(object[key] == .string(key))
        }
        #expect(object[""] == nil)
        #expect(object.members.map(\.key) == keys)
    }

    @Test(arguments: [3, 100])
    func setReplacesInPlaceOrAppends(count: Int) {
        var object = JSONObject()
        for number in 0..<count {
            object.set("\(number)", .null)
        }
        object.set("1", .bool(true))
        object.set("new", .bool(false))
        #expect(object.members.map(\.key) == (0..<count).map(String.init) + ["new"])
        #expect(object["1"] == .bool(true))
        #expect(object["2"] == .null)
        #expect(object["new"] == .bool(false))
    }

    @Test func equalObjectsHaveEqualMembersInTheSameOrder() {
        var one = JSONObject()
        one.set("a", .null)
        one.set("K", .null)
        var other = JSONObject()
        other.set("K", .null)
        other.set("a", .null)
        var kelvin = JSONObject()
        kelvin.set("a", .null)
        kelvin.set("\u{212A}", .null)
        let same = one
        #expect(one == same)
        #expect(one != other)
        #expect(one != kelvin)
    }
}
