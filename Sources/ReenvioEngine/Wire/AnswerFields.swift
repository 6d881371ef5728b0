import ReenvioModel

/// The header fields of an answer that say something to us, as far as they can be read (RFC 9110, 5; RFC 9112, 5).
struct AnswerFields {
    enum Name: Int, CaseIterable {
        case connection, contentEncoding, contentLength, contentType, location, retryAfter, transferEncoding

        fileprivate init?(_ name: ArraySlice<UInt8>) {
            guard let known = Self.texts[String(decoding: name, as: UTF8.self).lowercased()] else { return nil }
            self = known
        }

        private static let texts: [String: Name] = [
            "connection": .connection, "content-encoding": .contentEncoding, "content-length": .contentLength,
            "content-type": .contentType, "location": .location, "retry-after": .retryAfter,
            "transfer-encoding": .transferEncoding,
        ]
    }

    /// A value of folds, or of repeated fields, grows no further: an endless one would cost its square.
    private static let valueMax = 2_048

    private var values: [Name: [UInt8]] = [:]
    /// The field read last, to which a folded line still belongs.
    private var open: (name: Name?, value: [UInt8])?

    /// Takes a line in; false where it is not as a sender must write it.
    mutating func add(_ line: [UInt8]) -> Bool {
        guard let first = line.first, first != 0x20, first != 0x09 else {
            fold(line)
            return false
        }
        let isRegular = finish()
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return false }
        let name = line[..<colon]
        let bare = name.prefix { Self.isToken($0) }
        let isNamed = !bare.isEmpty && name[bare.endIndex...].allSatisfy { $0 == 0x20 || $0 == 0x09 }
        if isNamed { open = (Name(bare), Array(line[(colon + 1)...])) }
        return isRegular && isNamed && bare.count == name.count
    }

    /// Replaces a fold by a blank, in place; ignores one before the first field, and what makes a value too long.
    private mutating func fold(_ line: [UInt8]) {
        guard let (name, value) = open, name != nil, value.count < Self.valueMax else { return }
        while open?.value.last == 0x20 || open?.value.last == 0x09 { open?.value.removeLast() }
        open?.value.append(0x20)
        open?.value.append(contentsOf: line.drop { $0 == 0x20 || $0 == 0x09 })
    }

    /// The last field is whole; false where its value has a control character.
    mutating func finish() -> Bool {
        guard let (name, value) = open else { return true }
        open = nil
        let isClean = value.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
        guard let name else { return isClean }
        let trimmed = Self.trimmed(isClean ? value : value.map { $0 >= 0x20 && $0 != 0x7F ? $0 : 0x20 })
        switch name {
        case .contentType, .location, .retryAfter: if values[name] == nil { values[name] = trimmed }
        case .connection, .contentEncoding, .contentLength, .transferEncoding:
            guard let known = values[name] else {
                values[name] = trimmed
                break
            }
            if known.count >= Self.valueMax { return false }
            values[name]? += [UInt8(ascii: ",")] + trimmed
        }
        return isClean
    }

    func value(_ name: Name) -> [UInt8]? { values[name] }

    func text(_ name: Name) -> String? { values[name].map { String(decoding: $0, as: UTF8.self) } }

    /// The members of a list, in lower case, without empty ones.
    func list(_ name: Name) -> [String] {
        guard let text = text(name) else { return [] }
        return text.lowercased().split(separator: ",").map { String($0.trimmingBlanks) }.filter { !$0.isEmpty }
    }

    func has(_ name: Name, _ member: String) -> Bool { list(name).contains(member) }

    /// What the body's bytes were put through, in that order.
    var codings: [String] {
        list(.contentEncoding) + list(.transferEncoding).filter { $0 != "chunked" && $0 != "identity" }
    }

    /// Whether the body's bytes are shown as they came.
    var isPlainText: Bool { codings.isEmpty && AnswerText.isPlain(text(.contentType)) }

    private static func trimmed(_ value: [UInt8]) -> [UInt8] {
        var rest = value.drop { $0 == 0x20 || $0 == 0x09 }
        while rest.last == 0x20 || rest.last == 0x09 { rest.removeLast() }
        return Array(rest)
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
        }
    }
}

extension Substring {
    fileprivate var trimmingBlanks: Substring {
        var rest = drop { $0 == " " || $0 == "\t" }
        while rest.last == " " || rest.last == "\t" { rest.removeLast() }
        return rest
    }
}
