/// Typed query parameters, with every fault collected. An empty value counts as absent, of a repeated one the last
/// counts (`docs/contract.md` 2.3).
package struct QueryReader {
    /// What `page` reads.
    package static let pageNames = ["limit", "cursor"]

    private var values: [String: String] = [:]
    package var faults = Faults()

    /// - Parameter names: every parameter that is taken. Another one is a fault, because a filter that is misspelt
    ///   would otherwise show everything; nil where nothing is filtered, and others are ignored.
    package init(_ parameters: [(name: String, value: String)], known names: [String]?) {
        for (name, value) in parameters { values[name] = value.isEmpty ? nil : value }
        if let names { refuseUnknown(parameters, names) }
    }

    /// Parameters of v3: each of `names` at most once and never empty, no others (`docs/contract.md` 7.1).
    package init(_ parameters: [(name: String, value: String)], strictly names: [String]) {
        refuseUnknown(parameters, names)
        for name in names {
            let given = parameters.filter { $0.name == name }
            if given.count > 1 {
                faults.add(name, "The \(name) field must be given only once.")
            } else if let value = given.first?.value {
                if value.isEmpty {
                    faults.add(name, "The \(name) field must not be empty.")
                } else {
                    values[name] = value
                }
            }
        }
    }

    private mutating func refuseUnknown(_ parameters: [(name: String, value: String)], _ names: [String]) {
        for (name, _) in parameters where !names.contains(name) && faults[name] == nil {
            faults.add(name, "The \(name) parameter is not known.")
        }
    }

    package func throwFaults() throws(Faults) {
        if !faults.isEmpty { throw faults }
    }

    /// A text within `TextRule`.
    package mutating func text(_ name: String, max: Int = Limits.textCharacters) -> String? {
        guard let text = values[name] else { return nil }
        if let wrong = TextRule.fault(of: text, max: max) { faults.add(name, "The \(name) field \(wrong).") }
        return text
    }

    /// Whether a parameter was given, right or wrong.
    package func isGiven(_ name: String) -> Bool {
        values[name] != nil || faults[name] != nil
    }

    /// A moment with its zone, as `FieldReader` reads them. The plus sign of an offset that came unescaped was decoded
    /// as a blank: where a sign must be, a blank can mean nothing else.
    package mutating func rfc3339(_ name: String) -> Timestamp? {
        guard let text = values[name] else { return nil }
        if let moment = TimeText.parseRFC3339(text) ?? Self.withPlus(text).flatMap(TimeText.parseRFC3339) {
            return moment
        }
        faults.add(name, TimeText.fault(of: text, field: name))
        return nil
    }

    /// The text with a plus sign for the blank before its last five characters, `HH:MM`.
    private static func withPlus(_ text: String) -> String? {
        let offset = text.suffix(5)
        guard text.dropLast(5).last == " " else { return nil }
        return text.dropLast(6) + "+" + offset
    }

    package mutating func missing(_ name: String) {
        faults.add(name, "The \(name) field is required.")
    }

    package mutating func integer(_ name: String, in range: ClosedRange<Int64> = .min ... .max) -> Int64? {
        guard let text = values[name] else { return nil }
        guard let value = JSONNumber(text)?.integer else {
            faults.add(name, "The \(name) field must be an integer.")
            return nil
        }
        guard range.contains(value) else {
            faults.add(name, "The \(name) field must be between \(range.lowerBound) and \(range.upperBound).")
            return nil
        }
        return value
    }

    /// A calendar day; its first moment in UTC.
    package mutating func day(_ name: String) -> Timestamp? {
        guard let text = values[name] else { return nil }
        if let moment = TimeText.parsePlain(text + " 00:00:00") { return moment }
        faults.add(name, "The \(name) field must match the format YYYY-MM-DD.")
        return nil
    }

    package mutating func choice(_ name: String, _ choices: [String]) -> String? {
        guard let text = values[name] else { return nil }
        if choices.contains(text) { return text }
        faults.add(name, "The selected \(name) is invalid.")
        return nil
    }

    /// The page of a list that is walked by cursor.
    package mutating func page() -> CursorPage {
        let page = page(CursorPage.position)
        return CursorPage(limit: page.limit, after: page.after)
    }

    /// The same of a list whose places are no ids.
    package mutating func page<Place>(_ place: (String) -> Place?) -> (limit: Int64, after: Place?) {
        let limit = integer("limit", in: 1...Limits.pageSizeMax) ?? Limits.pageSizeDefault
        guard let text = values["cursor"] else { return (limit, nil) }
        let after = place(text)
        if after == nil { faults.add("cursor", "The cursor field is not a cursor of this list.") }
        return (limit, after)
    }

    /// Parameters that make no sense beside another one.
    package mutating func refuse(_ names: [String], with other: String) {
        for name in names where isGiven(name) && faults[name] == nil {
            faults.add(name, "The \(name) field cannot be used with \(other).")
        }
    }
}

/// A page of a list, newest first, that goes on after a row shown before (`docs/contract.md` 13.3). The cursor is
/// opaque to its user: it is that row's id in another base, so that nobody counts on it.
package struct CursorPage: Equatable, Sendable {
    package var limit: Int64
    /// The id of the last row shown; nil on the first page.
    package var after: Int64?

    package init(limit: Int64 = Limits.pageSizeDefault, after: Int64? = nil) {
        self.limit = limit
        self.after = after
    }

    package static func cursor(_ id: Int64) -> String {
        "c" + String(id, radix: 32)
    }

    package static func position(_ cursor: String) -> Int64? {
        guard cursor.hasPrefix("c"), let id = Int64(cursor.dropFirst(), radix: 32), id > 0 else { return nil }
        return id
    }
}
