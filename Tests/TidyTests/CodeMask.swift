/// Swift source with comments and the text of string literals blanked out, line for line: what is left is code.
/// Code inside an interpolation stays. Regular expression literals are not understood; none are used.
struct CodeMask {
    private enum Mode {
        case interpolation(openParentheses: Int)
        case string(hashes: Int, quotes: Int)
        case lineComment
        case blockComment
    }

    private var bytes: [UInt8]
    private var position = 0
    /// What encloses the position, innermost last; empty in plain code.
    private var modes: [Mode] = []

    static func lines(of source: String) -> [String] {
        var mask = CodeMask(bytes: Array(source.utf8))
        mask.run()
        return splitIntoLines(String(decoding: mask.bytes, as: UTF8.self))
    }

    private init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    private mutating func run() {
        while position < bytes.count {
            switch modes.last {
            case nil: stepThroughCode()
            case .interpolation(let openParentheses): stepThroughInterpolation(openParentheses)
            case .string(let hashes, let quotes): stepThroughString(hashes: hashes, quotes: quotes)
            case .lineComment: stepThroughLineComment()
            case .blockComment: stepThroughBlockComment()
            }
        }
    }

    private mutating func stepThroughCode() {
        if isAt("//") {
            modes.append(.lineComment)
            blank(2)
        } else if isAt("/*") {
            modes.append(.blockComment)
            blank(2)
        } else if let (hashes, quotes) = openingDelimiter() {
            modes.append(.string(hashes: hashes, quotes: quotes))
            blank(hashes + quotes)
        } else {
            position += 1
        }
    }

    private mutating func stepThroughInterpolation(_ openParentheses: Int) {
        if isAt(")"), openParentheses == 1 {
            modes.removeLast()
            blank(1)
        } else if isAt("(") || isAt(")") {
            modes[modes.count - 1] = .interpolation(openParentheses: openParentheses + (isAt("(") ? 1 : -1))
            position += 1
        } else {
            stepThroughCode()
        }
    }

    private mutating func stepThroughString(hashes: Int, quotes: Int) {
        let escape = "\\" + String(repeating: "#", count: hashes)
        let closing = String(repeating: "\"", count: quotes) + String(repeating: "#", count: hashes)
        if isAt(escape + "(") {
            modes.append(.interpolation(openParentheses: 1))
            blank(escape.utf8.count + 1)
        } else if isAt(escape) {
            blank(escape.utf8.count + 1)
        } else if isAt(closing) {
            modes.removeLast()
            blank(closing.utf8.count)
        } else if isAt("\n"), quotes == 1 {
            modes.removeLast()
        } else {
            blank(1)
        }
    }

    private mutating func stepThroughLineComment() {
        if isAt("\n") {
            modes.removeLast()
        } else {
            blank(1)
        }
    }

    private mutating func stepThroughBlockComment() {
        if isAt("*/") {
            modes.removeLast()
            blank(2)
        } else if isAt("/*") {
            modes.append(.blockComment)
            blank(2)
        } else {
            blank(1)
        }
    }

    private func openingDelimiter() -> (hashes: Int, quotes: Int)? {
        let hashes = bytes[position...].prefix { $0 == UInt8(ascii: "#") }.count
        let quotes = bytes[(position + hashes)...].prefix(3).prefix { $0 == UInt8(ascii: "\"") }.count
        return quotes == 0 ? nil : (hashes, quotes == 3 ? 3 : 1)
    }

    private func isAt(_ text: String) -> Bool {
        bytes[position...].starts(with: text.utf8)
    }

    /// Line ends stay, so that line numbers stay.
    private mutating func blank(_ count: Int) {
        let end = min(position + count, bytes.count)
        for index in position..<end where bytes[index] != UInt8(ascii: "\n") {
            bytes[index] = UInt8(ascii: " ")
        }
        position = end
    }
}

/// A line end at the end of the file does not begin another line.
func splitIntoLines(_ text: String) -> [String] {
    var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    if lines.last?.isEmpty == true {
        lines.removeLast()
    }
    return lines
}
