/// A JSON text as a value. Numbers keep the digits they were written with, objects keep the order of their members.
///
/// Texts are equal as Swift compares them (by canonical equivalence); keys are compared byte for byte.
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(JSONNumber)
    case string(String)
    case array([JSONValue])
    case object(JSONObject)
}

/// A number as it was written: neither rounded nor normalised, so that money never becomes binary floating point.
package struct JSONNumber: Sendable, Hashable {
    /// The number in the grammar of RFC 8259, of any length.
    package let text: String

    /// Takes exactly one JSON number; nil for anything else, blanks around it included.
    package init?(_ text: String) {
        guard case .number(let number)? = try? JSONParser.parse(text.utf8), number.text.utf8.count == text.utf8.count
        else { return nil }
        self = number
    }

    package init(_ integer: Int64) {
        text = String(integer)
    }

    /// Takes a text that the parser has read as a number.
    init(parsed text: String) {
        self.text = text
    }

    /// The number as an integer in the sense of `docs/contract.md` 2.1: digits with an optional minus, no point, no
    /// exponent, within 64 bits. Nil for every other number, `1.0` and `1e3` among them.
    package var integer: Int64? {
        Int64(text)
    }
}

/// The members of a JSON object, in order; no key occurs twice. Keys are compared by their UTF-8 bytes: Swift takes the
/// Kelvin sign for the letter K, JSON does not.
package struct JSONObject: Sendable {
    package struct Member: Sendable, Equatable {
        package let key: String
        package fileprivate(set) var value: JSONValue

        package static func == (left: Member, right: Member) -> Bool {
            left.key.hasSameBytes(as: right.key) && left.value == right.value
        }
    }

    /// Up to this many members are searched one by one, which is faster than hashing.
    private static let searchedMembers = 16

    package private(set) var members: [Member] = []
    /// Key to position in `members`; empty while `searchedMembers` suffice.
    private var positions: [Key: Int] = [:]

    package init() {}

    package subscript(key: String) -> JSONValue? {
        position(of: key).map { members[$0].value }
    }

    /// Appends a member, unless the key exists: then nothing changes and the answer is false.
    package mutating func insert(_ key: String, _ value: JSONValue) -> Bool {
        guard position(of: key) == nil else { return false }
        append(Member(key: key, value: value))
        return true
    }

    /// Gives `key` a value: in its place where it exists, as the last member where it does not.
    package mutating func set(_ key: String, _ value: JSONValue) {
        if let position = position(of: key) {
            members[position].value = value
        } else {
            append(Member(key: key, value: value))
        }
    }

    private func position(of key: String) -> Int? {
        guard positions.isEmpty else { return positions[Key(text: key)] }
        return members.firstIndex { $0.key.hasSameBytes(as: key) }
    }

    private mutating func append(_ member: Member) {
        members.append(member)
        if !positions.isEmpty {
            positions[Key(text: member.key)] = members.count - 1
        } else if members.count > Self.searchedMembers {
            for (position, member) in members.enumerated() {
                positions[Key(text: member.key)] = position
            }
        }
    }
}

extension JSONObject: Equatable {
    /// The same members in the same order.
    package static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.members == right.members
    }
}

/// A key in the index of an object. The hash is seeded per process, so a sender cannot choose keys that collide.
private struct Key: Hashable {
    let text: String

    static func == (left: Key, right: Key) -> Bool {
        left.text.hasSameBytes(as: right.text)
    }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

extension String {
    /// Whether the UTF-8 bytes are equal, which is stricter than `==`; that comes first because it is faster.
    fileprivate func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && self == other && utf8.elementsEqual(other.utf8)
    }
}
