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
        String(unsafeUninitializedCapacity: 30) { out in
            for (place, byte) in "msg_".utf8.enumerated() { out[place] = byte }
            Self.encode(UInt64(bitPattern: id), at: 4, in: out)
            Self.encode(nonce, at: 17, in: out)
            return 30
        }
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
    private static func encode(_ value: UInt64, at start: Int, in out: UnsafeMutableBufferPointer<UInt8>) {
        for place in 0..<13 { out[start + place] = alphabet[Int(value >> UInt64(60 - 5 * place) & 31)] }
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
