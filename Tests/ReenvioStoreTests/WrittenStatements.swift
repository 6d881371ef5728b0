import Foundation
import ReenvioStore
import ReenvioTesting

/// A statement as it is written in a source: parts with something put in between.
struct WrittenStatement: CustomStringConvertible {
    var file: String
    var parts: [String]
    /// The whole of it, with what is put in between as it is known from the sources; nil where that is not known.
    fileprivate var text: String?
    /// What columns of rows are called in the same file, and what they are.
    fileprivate var columnTypes: [String: SQLRows.ColumnType]

    var description: String { "\(file): \(parts.joined(separator: " ... "))" }

    /// Whether the parts stand in a statement, in this order.
    func isPart(of words: String) -> Bool {
        var rest = words[...]
        for part in parts {
            guard let found = rest.range(of: part) else { return false }
            rest = rest[found.upperBound...]
        }
        return true
    }

    /// Only the beginning of one, to which conditions are added.
    var isBeginning: Bool {
        let last = parts.last ?? ""
        return last.hasSuffix("FROM") || last.hasSuffix("FROM deliveries d") || last.hasSuffix("FROM receivers r")
            || parts.first == "UPDATE receivers SET"
    }

    /// As it would be run; nil where what is put in between is not known.
    var whole: StatementBook.Statement? {
        guard let sql = text else { return nil }
        var names: [String] = []
        for match in sql.matches(of: #/rows\.(\w+)/#) where !names.contains(String(match.output.1)) {
            names.append(String(match.output.1))
        }
        let highest = sql.matches(of: #/\$(\d+)/#).compactMap { Int($0.output.1) }.max() ?? 0
        var statement = StatementBook.Statement(
            sql: sql, form: sql.contains("{rows}") ? .rows : .plain, isWriter: true)
        statement.columns = names.map { (name: $0, type: columnTypes[$0] ?? .int) }
        // A number that does not occur has no type of its own.
        if highest > 0 { statement.types = (1...highest).map { sql.contains("$\($0)") ? nil : .int } }
        return statement
    }
}

/// The statements that stand in the sources of the store.
enum WrittenStatements {
    static func words(_ text: some StringProtocol) -> String {
        text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }

    static func all(in folder: String) throws -> [WrittenStatement] {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let place = root.appending(path: "Sources/ReenvioStore/\(folder)")
        var sources: [String: String] = [:]
        for file in try FileManager.default.contentsOfDirectory(atPath: place.path) {
            sources[file] = try String(contentsOf: place.appending(path: file), encoding: .utf8)
        }
        return sources.sorted { $0.key < $1.key }.flatMap { statements(in: $0.value, $0.key, sources) }
    }

    /// What is computed where it is put in, one of its values.
    private static let computed = [
        "job.open.condition": "payout_id IS NOT NULL", "job.open.order": "payout_id", "lane.rawValue": "0",
        "table": "settled", "column": "authorization_sealed", "order": "d.due_at, d.id",
    ]

    /// A literal with the constants that are put into it; nil where one is none.
    private static func resolved(_ literal: String, _ file: String, _ sources: [String: String]) -> String? {
        var text = literal
        while let match = text.firstMatch(of: #/\\\(([\w.]+)\)/#) {
            let names = match.output.1.split(separator: ".")
            let home = names.count > 1 ? "\(names[0]).swift" : file
            guard let value = computed[String(match.output.1)] ?? constant(names.last ?? "", in: sources[home] ?? "")
            else { return nil }
            text.replaceSubrange(match.range, with: value)
        }
        return text.contains("\\(") ? nil : text
    }

    private static func constant(_ name: Substring, in source: String) -> String? {
        guard let found = source.firstRange(of: "static let \(name) = ") else { return nil }
        let match = source[found.upperBound...].prefixMatch(of: #/"""\n((?:.|\n)*?)\n *"""|"((?:[^"\\\n]|\\.)*)"/#)
        return (match?.output.1 ?? match?.output.2).map { words($0) }
    }

    private static func statements(
        in source: String, _ file: String, _ sources: [String: String]
    ) -> [WrittenStatement] {
        var types: [String: SQLRows.ColumnType] = [:]
        for match in source.matches(of: #/\("(\w+)", \.(int|text|blob)\)/#) {
            let type: SQLRows.ColumnType = match.output.2 == "int" ? .int : match.output.2 == "text" ? .text : .blob
            types[String(match.output.1)] = type
        }
        var found: [WrittenStatement] = []
        for match in source.matches(of: #/"""\n((?:.|\n)*?)\n *"""|"((?:[^"\\\n]|\\.)*)"/#) {
            let literal = words(match.output.1 ?? match.output.2 ?? "")
            guard literal.firstMatch(of: #/^(SELECT|INSERT|UPDATE|DELETE|WITH) /#) != nil else { continue }
            found.append(
                WrittenStatement(
                    file: file, parts: parts(of: literal), text: resolved(literal, file, sources), columnTypes: types))
        }
        return found
    }

    /// What stands outside of `\( )`, which may hold brackets.
    private static func parts(of literal: String) -> [String] {
        var parts = [""]
        var depth = 0
        var rest = literal[...]
        while let character = rest.first {
            if depth == 0, rest.hasPrefix("\\(") {
                depth = 1
                parts.append("")
                rest = rest.dropFirst(2)
                continue
            }
            if depth > 0 {
                depth += character == "(" ? 1 : character == ")" ? -1 : 0
            } else {
                parts[parts.count - 1].append(character)
            }
            rest = rest.dropFirst()
        }
        return parts.map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
    }
}
