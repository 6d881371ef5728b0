/// Writes compact JSON into one array of bytes: keys in the order of the calls, and only those characters escaped that
/// RFC 8259 demands, so that `/` and `é` stay as they are (`docs/contract.md` 3.1).
///
///     var json = JSONWriter()
///     json.object { json in
///         json.member("id", 2_322_977)
///         json.object("status") { json in
///             json.member("id", 6)
///             json.member("name", "Canceled")
///         }
///     }
///
/// Inside an object call `member`, `object(key)` and `array(key)`; elsewhere `value`, `object` and `array`. That they
/// are called in the right places and that no key is written twice is up to the caller.
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []
    /// Whether a value ends here, so that the next key or element needs a comma.
    private var afterValue = false

    /// `capacity`: bytes to reserve, when the length is roughly known.
    package init(capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
    }

    // MARK: Containers

    package mutating func object(_ body: (inout JSONWriter) -> Void) {
        enclose(UInt8(ascii: "{"), UInt8(ascii: "}"), body)
    }

    package mutating func array(_ body: (inout JSONWriter) -> Void) {
        enclose(UInt8(ascii: "["), UInt8(ascii: "]"), body)
    }

    package mutating func object(_ key: String, _ body: (inout JSONWriter) -> Void) {
        writeKey(key)
        object(body)
    }

    package mutating func array(_ key: String, _ body: (inout JSONWriter) -> Void) {
        writeKey(key)
        array(body)
    }

    // MARK: Members

    /// A member whose one value `body` writes.
    package mutating func member(_ key: String, _ body: (inout JSONWriter) -> Void) {
        writeKey(key)
        body(&self)
    }

    package mutating func member(_ key: String, _ value: String?) {
        writeKey(key)
        self.value(value)
    }

    package mutating func member(_ key: String, _ value: Int64?) {
        writeKey(key)
        self.value(value)
    }

    package mutating func member(_ key: String, _ value: Int?) {
        member(key, value.map(Int64.init))
    }

    package mutating func member(_ key: String, _ value: Bool?) {
        writeKey(key)
        self.value(value)
    }

    package mutating func member(_ key: String, _ value: JSONValue) {
        writeKey(key)
        self.value(value)
    }

    /// `text`: a number in the grammar of RFC 8259, written as it is.
    package mutating func member(_ key: String, number text: String?) {
        writeKey(key)
        value(number: text)
    }

    // MARK: Values

    package mutating func value(_ value: String?) {
        guard let value else { return write("null") }
        separate()
        writeQuoted(value)
    }

    package mutating func value(_ value: Int64?) {
        guard let value else { return write("null") }
        separate()
        writeInteger(value)
    }

    package mutating func value(_ value: Int?) {
        self.value(value.map(Int64.init))
    }

    package mutating func value(_ value: Bool?) {
        write(value.map { $0 ? "true" : "false" } ?? "null")
    }

    package mutating func value(_ value: JSONValue) {
        value.write(into: &self)
    }

    /// `text`: a number in the grammar of RFC 8259, written as it is.
    package mutating func value(number text: String?) {
        write(text ?? "null")
    }

    // MARK: Bytes

    /// Writes the comma that a key or an element needs behind another one. A value or a key follows.
    private mutating func separate() {
        if afterValue { bytes.append(UInt8(ascii: ",")) }
        afterValue = true
    }

    private mutating func enclose(_ first: UInt8, _ last: UInt8, _ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(first)
        afterValue = false
        body(&self)
        bytes.append(last)
        afterValue = true
    }

    private mutating func writeKey(_ key: String) {
        separate()
        writeQuoted(key)
        bytes.append(UInt8(ascii: ":"))
        afterValue = false
    }

    /// Writes a value whose text is JSON already.
    private mutating func write(_ text: String) {
        separate()
        bytes.append(contentsOf: text.utf8)
    }

    private mutating func writeInteger(_ value: Int64) {
        if value < 0 { bytes.append(UInt8(ascii: "-")) }
        var first = bytes.count
        var rest = value.magnitude
        repeat {
            bytes.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        // The digits stand in reverse; turned round in place, they cost no allocation.
        var last = bytes.count - 1
        while first < last {
            bytes.swapAt(first, last)
            first += 1
            last -= 1
        }
    }

    private mutating func writeQuoted(_ text: String) {
        var text = text
        bytes.append(UInt8(ascii: "\""))
        text.withUTF8 { text in
            var plain = 0
            for (position, byte) in text.enumerated() where needsEscape(byte) {
                bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[plain..<position]))
                writeEscape(byte)
                plain = position + 1
            }
            bytes.append(contentsOf: UnsafeBufferPointer(rebasing: text[plain...]))
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func writeEscape(_ byte: UInt8) {
        bytes.append(UInt8(ascii: "\\"))
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes.append(byte)
        case 0x08: bytes.append(UInt8(ascii: "b"))
        case 0x09: bytes.append(UInt8(ascii: "t"))
        case 0x0A: bytes.append(UInt8(ascii: "n"))
        case 0x0C: bytes.append(UInt8(ascii: "f"))
        case 0x0D: bytes.append(UInt8(ascii: "r"))
        default:
            // A control character is at most 1f.
            bytes.append(contentsOf: byte < 0x10 ? "u000".utf8 : "u001".utf8)
            let low = byte & 0x0F
            bytes.append(low < 10 ? UInt8(ascii: "0") + low : UInt8(ascii: "a") + low - 10)
        }
    }
}

private func needsEscape(_ byte: UInt8) -> Bool {
    byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
}

extension JSONValue {
    /// The value as compact JSON.
    package var bytes: [UInt8] {
        var json = JSONWriter()
        write(into: &json)
        return json.bytes
    }

    package func write(into json: inout JSONWriter) {
        switch self {
        case .null: json.value(number: nil)
        case .bool(let bool): json.value(bool)
        case .number(let number): json.value(number: number.text)
        case .string(let text): json.value(text)
        case .array(let elements):
            json.array { json in
                for element in elements { element.write(into: &json) }
            }
        case .object(let object):
            json.object { json in
                for member in object.members { json.member(member.key, member.value) }
            }
        }
    }
}
