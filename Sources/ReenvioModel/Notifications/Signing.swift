package import Crypto
import Foundation

/// A merchant's signing secret: `whsec_` and the base64 of 24 to 64 random bytes (`docs/contract.md` 3.2).
package struct SigningSecret: Equatable, Sendable {
    package static let prefix = "whsec_"

    package let text: String
    private let keyBytes: [UInt8]

    /// Nil unless the text is a well-formed secret. The prefix may be left out, as Standard Webhooks allows.
    package init?(_ text: String) {
        let encoded = text.hasPrefix(Self.prefix) ? String(text.dropFirst(Self.prefix.count)) : text
        guard let data = Data(base64Encoded: encoded), (24...64).contains(data.count) else { return nil }
        self.text = text
        keyBytes = Array(data)
    }

    /// A new secret of 32 bytes.
    package init(using generator: inout some RandomNumberGenerator) {
        keyBytes = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        text = Self.prefix + Data(keyBytes).base64EncodedString()
    }

    package var key: SymmetricKey { SymmetricKey(data: keyBytes) }
}

/// The two signatures of a webhook (`docs/contract.md` 3.2).
package enum WebhookSignature {
    /// `v1,<base64>`: HMAC-SHA256 over `id.timestamp.body`, the Standard Webhooks form. Several keys, during a
    /// rotation, give several values separated by a blank.
    package static func standard(webhookID: String, timestamp: Int64, body: [UInt8], keys: [SymmetricKey]) -> String {
        var message: [UInt8] = []
        message.reserveCapacity(webhookID.utf8.count + 16 + body.count)
        message += webhookID.utf8
        message.append(UInt8(ascii: "."))
        message += String(timestamp).utf8
        message.append(UInt8(ascii: "."))
        message += body
        return keys.map { key in
            let code = HMAC<SHA256>.authenticationCode(for: message, using: key)
            return "v1," + Data(code).base64EncodedString()
        }.joined(separator: " ")
    }

    /// `Bearer <hex>`: SHA-256 of `{invoice}{currency}{amount}{api_key}`, the provider's published header. It covers
    /// neither status nor time; receivers that can should verify the standard signature.
    package static func compat(invoice: String, amount: Money, compatKey: String) -> String {
        var hash = SHA256()
        hash.update(data: Array((invoice + amount.currency + amount.text + compatKey).utf8))
        return "Bearer " + Hex.text(hash.finalize())
    }
}

/// Lower-case hexadecimal through a table: a hundred times cheaper than format strings.
package enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    package static func text(_ bytes: some Sequence<UInt8>) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(64)
        for byte in bytes {
            out.append(digits[Int(byte >> 4)])
            out.append(digits[Int(byte & 15)])
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// Nil unless the text is an even number of lower-case hexadecimal digits.
    package static func bytes(_ text: String) -> [UInt8]? {
        let values = text.utf8.map { byte -> UInt8? in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
            default: nil
            }
        }
        guard values.count.isMultiple(of: 2), !values.contains(nil) else { return nil }
        let nibbles = values.compactMap { $0 }
        return stride(from: 0, to: nibbles.count, by: 2).map { nibbles[$0] << 4 | nibbles[$0 + 1] }
    }
}
