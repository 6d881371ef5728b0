enum LineLengthRule {
    static let charactersMax = 120

    static func offences(in file: SourceFile) -> [Offence] {
        file.lines.indices.compactMap { index in
            let line = file.lines[index]
            // Counting bytes is cheap and never counts too few.
            guard line.utf8.count > charactersMax, line.count > charactersMax else { return nil }
            return file.offence(at: index, "line of \(line.count) characters, at most \(charactersMax)")
        }
    }
}

enum FileLengthRule {
    static let linesMax = 400

    static func offences(in file: SourceFile) -> [Offence] {
        guard file.lines.count > linesMax else { return [] }
        return [file.offence(at: linesMax, "file of \(file.lines.count) lines, at most \(linesMax): split it by noun")]
    }
}

/// From the line with `func`, `init`, `deinit` or `subscript` to the line with its closing brace.
enum FunctionLengthRule {
    static let linesMax = 60

    private static let modifiers: Set<Substring> = [
        "private", "fileprivate", "internal", "package", "public", "open", "static", "class", "final", "override",
        "required", "convenience", "mutating", "nonmutating", "nonisolated", "isolated", "indirect",
    ]

    static func offences(in file: SourceFile) -> [Offence] {
        file.code.indices.compactMap { index in
            guard beginsFunction(file.code[index]), let end = endOfFunction(in: file.code, from: index) else {
                return nil
            }
            let length = end - index + 1
            guard length > linesMax else { return nil }
            return file.offence(
                at: index, "function of \(length) lines, at most \(linesMax): name its steps and call them")
        }
    }

    private static func beginsFunction(_ line: String) -> Bool {
        let words = line.split(separator: " ")
        if words.contains("func") { return true }
        guard let word = words.first(where: { !modifiers.contains($0) && !$0.hasPrefix("@") }) else { return false }
        return ["init(", "init?(", "init<", "deinit", "subscript(", "subscript<"].contains { word.hasPrefix($0) }
    }

    /// Nil where no body follows, as in a protocol.
    private static func endOfFunction(in code: [String], from start: Int) -> Int? {
        var depth = 0
        for index in start..<code.count {
            if depth == 0, index > start, endsBodiless(code[index], startedAt: code[start]) { return nil }
            for character in code[index].utf8 {
                if character == UInt8(ascii: "{") { depth += 1 }
                if character == UInt8(ascii: "}") {
                    depth -= 1
                    if depth <= 0 { return depth == 0 ? index : nil }
                }
            }
        }
        return nil
    }

    /// A signature goes on with deeper lines, or with one of these at its own depth; anything else is what comes next.
    private static func endsBodiless(_ line: String, startedAt start: String) -> Bool {
        guard let word = line.split(separator: " ").first, indentation(of: line) <= indentation(of: start) else {
            return false
        }
        return !["{", ")", "where", "->", "async", "throws"].contains { word.hasPrefix($0) }
    }

    private static func indentation(of line: String) -> Int {
        line.utf8.prefix { $0 == UInt8(ascii: " ") }.count
    }
}
