import ReenvioModel

/// Reads the part of YAML that `Resources/openapi.yaml` is written in: block mappings and lists, flow collections on
/// one line, texts plain or in single quotes, and folded texts (`>-`). Anything else is a mistake in that file, which
/// the tests find; nothing from outside ever comes here.
struct OutlineText {
    struct Mistake: Error, CustomStringConvertible {
        var line: Int
        var why: String

        var description: String { "line \(line): \(why)" }
    }

    private struct Line {
        var number: Int
        var indent: Int
        var text: Substring
    }

    private var lines: ArraySlice<Line>

    private init(_ text: String) {
        var lines: [Line] = []
        for (offset, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let indent = line.prefix { $0 == " " }.count
            let rest = line.dropFirst(indent)
            if !rest.isEmpty, !rest.hasPrefix("#") {
                lines.append(Line(number: offset + 1, indent: indent, text: rest))
            }
        }
        self.lines = lines[...]
    }

    /// - Throws: `Mistake`.
    static func parse(_ text: String) throws -> JSONValue {
        var outline = OutlineText(text)
        let value = try outline.block(indent: 0)
        if let line = outline.lines.first { throw Mistake(line: line.number, why: "is indented as nothing before it") }
        return value
    }

    private mutating func block(indent: Int) throws -> JSONValue {
        guard let first = lines.first, first.indent == indent else {
            throw Mistake(line: lines.first?.number ?? 0, why: "a value is missing above")
        }
        return first.text.hasPrefix("- ") ? try list(indent: indent) : .object(try mapping(indent: indent))
    }

    private mutating func list(indent: Int) throws -> JSONValue {
        var items: [JSONValue] = []
        while let line = lines.first, line.indent == indent, line.text.hasPrefix("- ") {
            let rest = line.text.dropFirst(2)
            if try Self.split(rest, line.number) == nil {
                lines.removeFirst()
                items.append(try FlowText.parse(rest, line: line.number))
            } else {
                // The first member stands behind the dash; the others are indented as it is.
                lines[lines.startIndex] = Line(number: line.number, indent: indent + 2, text: rest)
                items.append(.object(try mapping(indent: indent + 2)))
            }
        }
        return .array(items)
    }

    private mutating func mapping(indent: Int) throws -> JSONObject {
        var object = JSONObject()
        while let line = lines.first, line.indent == indent, !line.text.hasPrefix("- ") {
            guard let (key, rest) = try Self.split(line.text, line.number) else {
                throw Mistake(line: line.number, why: "is no `key: value`")
            }
            lines.removeFirst()
            guard object.insert(key, try member(rest, below: indent, line.number)) else {
                throw Mistake(line: line.number, why: "\(key) stands here twice")
            }
        }
        return object
    }

    private mutating func member(_ rest: Substring, below indent: Int, _ number: Int) throws -> JSONValue {
        if rest == ">-" { return .string(folded(below: indent)) }
        guard rest.isEmpty else { return try FlowText.parse(rest, line: number) }
        guard let next = lines.first, next.indent > indent else { throw Mistake(line: number, why: "has no value") }
        return try block(indent: next.indent)
    }

    private mutating func folded(below indent: Int) -> String {
        var words: [Substring] = []
        while let line = lines.first, line.indent > indent {
            words.append(line.text)
            lines.removeFirst()
        }
        return words.joined(separator: " ")
    }

    /// Key and rest of a line of a mapping; nil for any other line.
    private static func split(_ text: Substring, _ number: Int) throws -> (key: String, rest: Substring)? {
        if text.hasPrefix("{") || text.hasPrefix("[") { return nil }
        if text.hasPrefix("'") {
            guard let end = text.dropFirst().firstIndex(of: "'") else {
                throw Mistake(line: number, why: "an open quote")
            }
            let rest = text[text.index(after: end)...]
            return rest.hasPrefix(":") ? (String(text[text.index(after: text.startIndex)..<end]), trimmed(rest)) : nil
        }
        guard let colon = text.firstIndex(of: ":") else { return nil }
        let after = text[colon...]
        guard after == ":" || after.hasPrefix(": ") else { return nil }
        return (String(text[..<colon]), trimmed(after))
    }

    private static func trimmed(_ rest: Substring) -> Substring {
        rest.dropFirst().drop { $0 == " " }
    }
}

/// A value on one line: a scalar, or a flow collection.
private struct FlowText {
    private var rest: Substring
    private let line: Int

    static func parse(_ text: Substring, line: Int) throws -> JSONValue {
        var flow = FlowText(rest: text, line: line)
        let value = try flow.value(endedBy: "")
        guard flow.rest.isEmpty else { throw OutlineText.Mistake(line: line, why: "goes on behind its value") }
        return value
    }

    private mutating func value(endedBy ends: String) throws -> JSONValue {
        switch rest.first {
        case "{": return try mapping()
        case "[": return try list()
        case "'": return .string(try quoted())
        default: return Self.scalar(plain(endedBy: ends))
        }
    }

    private mutating func mapping() throws -> JSONValue {
        var object = JSONObject()
        rest.removeFirst()
        while !takes("}") {
            let key = rest.first == "'" ? try quoted() : plain(endedBy: ":")
            guard takes(":"), object.insert(key, try value(endedBy: ",}")) else {
                throw OutlineText.Mistake(line: line, why: "\(key) has no value, or stands here twice")
            }
            try separate("}")
        }
        return .object(object)
    }

    private mutating func list() throws -> JSONValue {
        var items: [JSONValue] = []
        rest.removeFirst()
        while !takes("]") {
            items.append(try value(endedBy: ",]"))
            try separate("]")
        }
        return .array(items)
    }

    private mutating func separate(_ end: Character) throws {
        guard takes(",") || rest.first == end else { throw OutlineText.Mistake(line: line, why: "`\(end)` is missing") }
    }

    private mutating func takes(_ character: Character) -> Bool {
        guard rest.first == character else { return false }
        rest = rest.dropFirst().drop { $0 == " " }
        return true
    }

    private mutating func quoted() throws -> String {
        var text = ""
        rest.removeFirst()
        while let next = rest.popFirst() {
            if next == "'" {
                guard rest.first == "'" else { return text }
                rest.removeFirst()
            }
            text.append(next)
        }
        throw OutlineText.Mistake(line: line, why: "a quote is open")
    }

    private mutating func plain(endedBy ends: String) -> String {
        let text = rest.prefix { !ends.contains($0) }
        rest = rest.dropFirst(text.count)
        return String(text)
    }

    private static func scalar(_ text: String) -> JSONValue {
        switch text {
        case "null": .null
        case "true": .bool(true)
        case "false": .bool(false)
        default: JSONNumber(text).map { .number($0) } ?? .string(text)
        }
    }
}
