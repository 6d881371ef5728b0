/// Why a text is not acceptable JSON, and where (`docs/contract.md` 2.1 and 10).
package struct JSONFault: Error, Hashable {
    package enum Reason: Sendable {
        case unexpectedByte, unexpectedEnd, tooDeep, repeatedKey, notUTF8, loneSurrogate, byteOrderMark
    }

    package let reason: Reason
    /// Bytes before the fault; for a repeated key and for bad UTF-8, bytes before the text that has it.
    package let offset: Int

    package init(reason: Reason, offset: Int) {
        self.reason = reason
        self.offset = offset
    }
}

/// Reads RFC 8259 and nothing more lenient. Also refused: a repeated key (compared after unescaping), nesting deeper
/// than `Limits.jsonDepth`, bytes that are not UTF-8, half a surrogate pair, a byte order mark.
///
/// Time and memory are proportional to the input.
package enum JSONParser {
    package static func parse(_ bytes: some Collection<UInt8>) throws(JSONFault) -> JSONValue {
        let contiguous = bytes.withContiguousStorageIfAvailable(document)
        return try (contiguous ?? Array(bytes).withUnsafeBufferPointer(document)).get()
    }

    private static func document(_ bytes: UnsafeBufferPointer<UInt8>) -> Result<JSONValue, JSONFault> {
        Result { () throws(JSONFault) in
            var cursor = Cursor(bytes: bytes)
            return try cursor.document()
        }
    }
}

/// A place in the text. Bytes are read by `current`, which knows the end, and as slices of what `current` has passed.
private struct Cursor {
    let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    /// A text with escapes is put together here; empty between texts.
    private var unescaped: [UInt8] = []

    init(bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
    }

    mutating func document() throws(JSONFault) -> JSONValue {
        guard !bytes.starts(with: [0xEF, 0xBB, 0xBF]) else { throw JSONFault(reason: .byteOrderMark, offset: 0) }
        skipBlanks()
        let value = try value(depth: 0)
        skipBlanks()
        guard position == bytes.count else { throw unexpected() }
        return value
    }

    // MARK: Values

    /// `depth`: containers around this value.
    private mutating func value(depth: Int) throws(JSONFault) -> JSONValue {
        switch current {
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        case UInt8(ascii: "{"): return .object(try object(depth: depth + 1))
        case UInt8(ascii: "["): return .array(try array(depth: depth + 1))
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: throw unexpected()
        }
    }

    private mutating func object(depth: Int) throws(JSONFault) -> JSONObject {
        try open(depth: depth)
        var object = JSONObject()
        if skip(UInt8(ascii: "}")) { return object }
        repeat {
            skipBlanks()
            let start = position
            let key = try string()
            skipBlanks()
            try expect(UInt8(ascii: ":"))
            skipBlanks()
            let value = try value(depth: depth)
            guard object.insert(key, value) else { throw JSONFault(reason: .repeatedKey, offset: start) }
            skipBlanks()
        } while skip(UInt8(ascii: ","))
        try expect(UInt8(ascii: "}"))
        return object
    }

    private mutating func array(depth: Int) throws(JSONFault) -> [JSONValue] {
        try open(depth: depth)
        var array: [JSONValue] = []
        if skip(UInt8(ascii: "]")) { return array }
        repeat {
            skipBlanks()
            array.append(try value(depth: depth))
            skipBlanks()
        } while skip(UInt8(ascii: ","))
        try expect(UInt8(ascii: "]"))
        return array
    }

    /// Passes the bracket that opens a container, and the blanks behind it.
    private mutating func open(depth: Int) throws(JSONFault) {
        guard depth <= Limits.jsonDepth else { throw JSONFault(reason: .tooDeep, offset: position) }
        position += 1
        skipBlanks()
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONFault) -> JSONValue {
        for letter in UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount) {
            try expect(letter)
        }
        return value
    }

    private mutating func number() throws(JSONFault) -> JSONNumber {
        let start = position
        _ = skip(UInt8(ascii: "-"))
        if !skip(UInt8(ascii: "0")) { try digits() }
        if skip(UInt8(ascii: ".")) { try digits() }
        if skip(UInt8(ascii: "e")) || skip(UInt8(ascii: "E")) {
            if !skip(UInt8(ascii: "+")) { _ = skip(UInt8(ascii: "-")) }
            try digits()
        }
        return JSONNumber(parsed: String(decoding: bytes[start..<position], as: UTF8.self))
    }

    private mutating func digits() throws(JSONFault) {
        guard current.isDigit else { throw unexpected() }
        repeat { position += 1 } while current.isDigit
    }

    // MARK: Texts

    private mutating func string() throws(JSONFault) -> String {
        try expect(UInt8(ascii: "\""))
        let start = position
        skipPlain()
        let plainEnd = position
        if skip(UInt8(ascii: "\"")) { return try utf8(bytes[start..<plainEnd], offset: start) }

        defer { unescaped.removeAll(keepingCapacity: true) }
        unescaped.append(contentsOf: bytes[start..<plainEnd])
        while !skip(UInt8(ascii: "\"")) {
            try escape()
            let plainStart = position
            skipPlain()
            unescaped.append(contentsOf: bytes[plainStart..<position])
        }
        return try utf8(unescaped[...], offset: start)
    }

    private func utf8(_ text: some Collection<UInt8>, offset: Int) throws(JSONFault) -> String {
        let string = String(decoding: text, as: UTF8.self)
        // Decoding repairs what is not UTF-8, and a repaired text differs from its bytes. (`String(validating:)` says
        // the same, several times slower.)
        guard text.reduce(0, |) < 0x80 || string.utf8.elementsEqual(text) else {
            throw JSONFault(reason: .notUTF8, offset: offset)
        }
        return string
    }

    /// Passes bytes that stand for themselves: up to a quotation mark, a backslash, a control character or the end.
    private mutating func skipPlain() {
        while current >= 0x20, current != UInt8(ascii: "\""), current != UInt8(ascii: "\\") {
            position += 1
        }
    }

    private mutating func escape() throws(JSONFault) {
        let start = position
        try expect(UInt8(ascii: "\\"))
        switch current {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(current)
        case UInt8(ascii: "b"): unescaped.append(0x08)
        case UInt8(ascii: "f"): unescaped.append(0x0C)
        case UInt8(ascii: "n"): unescaped.append(0x0A)
        case UInt8(ascii: "r"): unescaped.append(0x0D)
        case UInt8(ascii: "t"): unescaped.append(0x09)
        case UInt8(ascii: "u"):
            position += 1
            return try unicodeEscape(start: start)
        default: throw unexpected()
        }
        position += 1
    }

    /// Reads what follows `\u`: four digits, and another escape where they are the first half of a surrogate pair.
    private mutating func unicodeEscape(start: Int) throws(JSONFault) {
        var code = try hexDigits()
        if 0xD800...0xDBFF ~= code {
            guard skip(UInt8(ascii: "\\")), skip(UInt8(ascii: "u")) else {
                throw JSONFault(reason: .loneSurrogate, offset: start)
            }
            let low = try hexDigits()
            guard 0xDC00...0xDFFF ~= low else { throw JSONFault(reason: .loneSurrogate, offset: start) }
            code = 0x1_0000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw JSONFault(reason: .loneSurrogate, offset: start) }
        unescaped.append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
    }

    private mutating func hexDigits() throws(JSONFault) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = current.hexValue else { throw unexpected() }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }

    // MARK: Bytes

    /// The byte at `position`; 0 behind the end, which JSON allows nowhere.
    private var current: UInt8 {
        position < bytes.count ? bytes[position] : 0
    }

    private mutating func skipBlanks() {
        while current == 0x20 || current == 0x0A || current == 0x0D || current == 0x09 {
            position += 1
        }
    }

    private mutating func skip(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: UInt8) throws(JSONFault) {
        guard skip(byte) else { throw unexpected() }
    }

    private func unexpected() -> JSONFault {
        JSONFault(reason: position < bytes.count ? .unexpectedByte : .unexpectedEnd, offset: position)
    }
}

extension UInt8 {
    /// Whether this is an ASCII digit.
    var isDigit: Bool {
        UInt8(ascii: "0")...UInt8(ascii: "9") ~= self
    }

    /// What this stands for as a hexadecimal digit of either case.
    var hexValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
