/// Reads typed fields off a JSON object and collects every fault, with the texts of `docs/contract.md` 4.1 and 2.1.
/// `null` counts as absent; so does empty text where a field takes text.
package struct FieldReader {
    private let object: JSONObject
    package let path: String
    package private(set) var faults = Faults()

    package init(_ object: JSONObject, path: String = "") {
        self.object = object
        self.path = path
    }

    package func throwFaults() throws(Faults) {
        if !faults.isEmpty { throw faults }
    }

    package mutating func fault(_ key: String, _ text: String) {
        faults.add(path + key, text)
    }

    /// The value of a member, nil when it is absent or null.
    package func value(_ key: String) -> JSONValue? {
        guard let value = object[key], value != .null else { return nil }
        return value
    }

    /// Whether a member is there and null, where that is not the same as absent (`docs/contract.md` 6.5).
    package func isNull(_ key: String) -> Bool {
        object[key] == .null
    }

    /// A text within `TextRule`.
    package mutating func string(
        _ key: String, required: Bool = false, max: Int = Limits.textCharacters, lines: Bool = false
    ) -> String? {
        switch value(key) {
        case nil, .string(""):
            if required { missing(key) }
            return nil
        case .string(let text):
            guard let wrong = TextRule.fault(of: text, max: max, lines: lines) else { return text }
            fault(key, "The \(path)\(key) field \(wrong).")
            return nil
        default:
            fault(key, "The \(path)\(key) field must be a string.")
            return nil
        }
    }

    /// A JSON integer: digits with an optional minus, no point, no exponent, 64 bits. A quoted number is refused.
    package mutating func integer(_ key: String, required: Bool = false) -> Int64? {
        guard let value = value(key) else {
            if required { missing(key) }
            return nil
        }
        guard case .number(let number) = value, let integer = number.integer else {
            fault(key, "The \(path)\(key) field must be an integer.")
            return nil
        }
        return integer
    }

    /// The same within bounds.
    package mutating func integer(_ key: String, in range: ClosedRange<Int64>) -> Int64? {
        guard let value = integer(key) else { return nil }
        if range.contains(value) { return value }
        fault(key, "The \(path)\(key) field must be between \(range.lowerBound) and \(range.upperBound).")
        return nil
    }

    package mutating func boolean(_ key: String) -> Bool? {
        switch value(key) {
        case nil: return nil
        case .bool(let value): return value
        default:
            fault(key, "The \(path)\(key) field must be true or false.")
            return nil
        }
    }

    package mutating func rfc3339(_ key: String, required: Bool = false) -> Timestamp? {
        givenTime(key, required: required)?.moment
    }

    /// An RFC 3339 date with the precision at which it is written.
    package mutating func givenTime(_ key: String, required: Bool = false) -> GivenTime? {
        guard let text = string(key, required: required) else { return nil }
        if let given = TimeText.parseGiven(text) { return given }
        fault(key, TimeText.fault(of: text, field: path + key))
        return nil
    }

    /// The same for what has happened: at most 5 minutes ahead (`docs/contract.md` 1.2).
    package mutating func pastTime(_ key: String, required: Bool = false, now: Timestamp) -> GivenTime? {
        guard let given = givenTime(key, required: required) else { return nil }
        guard given.isTooFarAhead(of: now) else { return given }
        fault(key, "The \(path)\(key) field must not be more than 5 minutes in the future.")
        return nil
    }

    /// Reads a nested object with the same reader; an absent one is nil and no fault.
    package mutating func nested<T>(_ key: String, _ read: (inout FieldReader) -> T) -> T? {
        guard let value = value(key) else { return nil }
        guard case .object(let inner) = value else {
            fault(key, "The \(path)\(key) field must be an object.")
            return nil
        }
        return descend(into: inner, key, read)
    }

    /// Like `nested`, but an absent object is read as an empty one, so that its required fields are named.
    package mutating func nestedOrEmpty<T>(_ key: String, _ read: (inout FieldReader) -> T) -> T? {
        value(key) == nil ? descend(into: JSONObject(), key, read) : nested(key, read)
    }

    private mutating func descend<T>(into inner: JSONObject, _ key: String, _ read: (inout FieldReader) -> T) -> T {
        var reader = FieldReader(inner, path: path + key + ".")
        let result = read(&reader)
        faults.add(reader.faults)
        return result
    }

    package mutating func missing(_ key: String) {
        fault(key, "The \(path)\(key) field is required.")
    }
}

extension TimeText {
    /// What is wrong with a text that is no RFC 3339 date.
    static func fault(of text: String, field: String) -> String {
        isLeapSecond(text)
            ? "The \(field) field must not be a leap second: write second 59, or second 00 of the next minute."
            : "The \(field) field must be an RFC 3339 date with a zone."
    }
}
