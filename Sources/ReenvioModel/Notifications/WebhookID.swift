/// The public name of a notification, `msg_` and 26 letters and digits (`docs/contract.md` 3.2): its row id, so that it
/// can be looked up without an index, and 64 random bits, so that a store restored from a backup never names another
/// message the same.
package struct WebhookID: Hashable, Sendable, CustomStringConvertible {
    package var id: Int64
    package var nonce: UInt64

    package init(id: Int64, nonce: UInt64) {
        self.id = id
        self.nonce = nonce
    }

    package var description: String {
        "msg_" + Self.encode(UInt64(bitPattern: id)) + Self.encode(nonce)
    }

    package init?(_ text: String) {
        guard text.hasPrefix("msg_") else { return nil }
        let body = Array(text.utf8.dropFirst(4))
        guard body.count == 26, let id = Self.decode(body[..<13]), let nonce = Self.decode(body[13...]) else {
            return nil
        }
        self.init(id: Int64(bitPattern: id), nonce: nonce)
    }

    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)

    /// 13 base-32 digits, the highest first.
    private static func encode(_ value: UInt64) -> String {
        let digits = (0..<13).map { alphabet[Int(value >> UInt64(60 - 5 * $0) & 31)] }
        return String(decoding: digits, as: UTF8.self)
    }

    private static func decode(_ digits: ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for (place, digit) in digits.enumerated() {
            guard let number = alphabet.firstIndex(of: digit), place > 0 || number < 16 else { return nil }
            value = value << 5 | UInt64(number)
        }
        return value
    }
}
