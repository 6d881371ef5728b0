package import Crypto
import Foundation

/// A merchant's signing secret: `whsec_` and the base64 of 24 to 64 random bytes (`docs/contract.md` 3.2).
package struct SigningSecret: Equatable, Sendable {
    package static let prefix = "whsec_"

    package let text: String
    fileprivate let keyBytes: [UInt8]

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
        let message = message(webhookID: webhookID, timestamp: timestamp, body: body)
        return keys.map { key in
            let code = HMAC<SHA256>.authenticationCode(for: message, using: key)
            return "v1," + Data(code).base64EncodedString()
        }.joined(separator: " ")
    }

    /// What the standard signature covers.
    fileprivate static func message(webhookID: String, timestamp: Int64, body: [UInt8]) -> [UInt8] {
        var message: [UInt8] = []
        message.reserveCapacity(webhookID.utf8.count + 16 + body.count)
        message += webhookID.utf8
        message.append(UInt8(ascii: "."))
        message += String(timestamp).utf8
        message.append(UInt8(ascii: "."))
        message += body
        return message
    }

    /// `Bearer <hex>`: SHA-256 of `{invoice}{currency}{amount}{api_key}`, the provider's published header. It covers
    /// neither status nor time; receivers that can should verify the standard signature.
    package static func compat(invoice: String, amount: Money, compatKey: String) -> String {
        var covered = invoice
        covered += amount.currency
        covered += amount.text
        covered += compatKey
        let hash = covered.withUTF8 { SHA256.hash(data: UnsafeRawBufferPointer($0)) }
        return "Bearer " + Hex.text(hash)
    }
}

/// Signs the webhooks of one merchant: the same values as `WebhookSignature`, with what depends on the keys alone
/// worked out beforehand.
package struct WebhookSigner: Sendable {
    /// SHA-256 over the first block of each of the two rounds of HMAC (RFC 2104), which depends on the key alone.
    private struct Keyed {
        var inner = SHA256()
        var outer = SHA256()

        init(_ secret: SigningSecret) {
            // Not longer than a block, so never hashed itself.
            var block = secret.keyBytes
            block += Array(repeating: 0, count: SHA256.blockByteCount - block.count)
            inner.update(data: block.map { $0 ^ 0x36 })
            outer.update(data: block.map { $0 ^ 0x5C })
        }
    }

    private let keyed: [Keyed]
    private let compatKey: String

    /// Nil without a secret to sign with.
    package init?(secrets: [SigningSecret], compatKey: String) {
        if secrets.isEmpty { return nil }
        keyed = secrets.map(Keyed.init)
        self.compatKey = compatKey
    }

    /// As `WebhookSignature.standard`.
    package func standard(webhookID: String, timestamp: Int64, body: [UInt8]) -> String {
        let message = WebhookSignature.message(webhookID: webhookID, timestamp: timestamp, body: body)
        var values = ""
        for key in keyed {
            var (inner, outer) = (key.inner, key.outer)
            message.withUnsafeBytes { inner.update(bufferPointer: $0) }
            inner.finalize().withUnsafeBytes { outer.update(bufferPointer: $0) }
            values += values.isEmpty ? "v1," : " v1,"
            values += outer.finalize().withUnsafeBytes(Base64.text)
        }
        return values
    }

    /// As `WebhookSignature.compat`.
    package func compat(invoice: String, amount: Money) -> String {
        WebhookSignature.compat(invoice: invoice, amount: amount, compatKey: compatKey)
    }
}

/// Base64 with padding, through a table.
enum Base64 {
    private static let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    static func text(_ bytes: UnsafeRawBufferPointer) -> String {
        let length = (bytes.count + 2) / 3 * 4
        return String(unsafeUninitializedCapacity: length) { out in
            var place = 0
            for start in stride(from: 0, to: bytes.count, by: 3) {
                let left = min(3, bytes.count - start)
                let bits =
                    UInt32(bytes[start]) << 16 | (left > 1 ? UInt32(bytes[start + 1]) << 8 : 0)
                    | (left > 2 ? UInt32(bytes[start + 2]) : 0)
                for digit in 0..<4 {
                    let value = Int(bits >> UInt32(18 - 6 * digit) & 63)
                    out[place] = digit <= left ? digits[value] : UInt8(ascii: "=")
                    place += 1
                }
            }
            return length
        }
    }
}

/// Lower-case hexadecimal through a table: a hundred times cheaper than format strings.
package enum Hex {
    private static let digits = Array("0123456789abcdef".utf8)

    package static func text(_ bytes: some Sequence<UInt8>) -> String {
        let bytes = Array(bytes)
        return String(unsafeUninitializedCapacity: 2 * bytes.count) { out in
            for (place, byte) in bytes.enumerated() {
                out[2 * place] = digits[Int(byte >> 4)]
                out[2 * place + 1] = digits[Int(byte & 15)]
            }
            return 2 * bytes.count
        }
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
