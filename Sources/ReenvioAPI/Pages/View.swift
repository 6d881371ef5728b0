import Mustache
import ReenvioModel

/// What a template may show. Nothing else reaches one: a text is escaped by the template and made safe for that here, a
/// flag or a list opens a section.
struct View: Sendable {
    enum Value: Sendable {
        case text(String)
        case flag(Bool)
        case view(View)
        case list([View])
    }

    private(set) var values: [String: Value] = [:]

    subscript(name: String) -> Value? {
        get { values[name] }
        set { values[name] = newValue }
    }

    mutating func text(_ name: String, _ text: String?) {
        // Absent is said, too: a name that is not there would be looked for in the view around this one.
        values[name] = text.map { .text($0) } ?? .flag(false)
    }

    mutating func text(_ name: String, _ number: Int64?) {
        text(name, number.map { String($0) })
    }

    mutating func flag(_ name: String, _ flag: Bool) {
        values[name] = .flag(flag)
    }

    mutating func list(_ name: String, _ list: [View]) {
        values[name] = .list(list)
        values["has_\(name)"] = .flag(!list.isEmpty)
    }

    /// As the templates of the library read it.
    var object: [String: Any] {
        values.mapValues { value in
            switch value {
            case .text(let text): Self.escapable(text)
            case .flag(let flag): flag
            case .view(let view): view.object
            case .list(let list): list.map(\.object)
            }
        }
    }

    /// The library escapes by grapheme: a quote that a combining mark follows would pass as it is and end an attribute.
    /// A dotted circle, the usual base of a mark that stands alone, keeps the two apart.
    static func escapable(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: special.contains) else { return text }
        var safe = ""
        for character in text {
            guard character.unicodeScalars.count > 1, character.unicodeScalars.contains(where: special.contains) else {
                safe.append(character)
                continue
            }
            for scalar in character.unicodeScalars {
                safe.unicodeScalars.append(scalar)
                if special.contains(scalar) { safe.unicodeScalars.append("\u{25CC}") }
            }
        }
        return safe
    }

    private static let special: Set<Unicode.Scalar> = ["<", ">", "&", "\"", "'"]
}

/// The pages' templates, read once from the binary.
enum Templates {
    private static let library: Result<MustacheLibrary, any Error> = Result {
        var library = MustacheLibrary()
        for (name, bytes) in PageResources.templates {
            try library.register(String(decoding: bytes, as: UTF8.self), named: name)
        }
        return library
    }

    /// - Throws: a mistake in a template, which the tests of its page find.
    static func render(_ name: String, _ view: View) throws -> [UInt8] {
        guard let text = try library.get().render(view.object, withTemplate: name) else {
            throw StringError(description: "there is no template \(name)")
        }
        return Array(text.utf8)
    }

    struct StringError: Error, CustomStringConvertible {
        var description: String
    }
}
