import Crypto

/// The `hmac` header of a user's request: HMAC-SHA512 over the body's bytes as they came, in 128 hex digits
/// (`docs/contract.md` 9).
package enum BodySignature {
    package static func text(of body: some Sequence<UInt8>, key: [UInt8]) -> String {
        Hex.text(code(of: body, key: key))
    }

    /// In constant time. Digits may be of either case.
    package static func isValid(_ text: String, of body: some Sequence<UInt8>, key: [UInt8]) -> Bool {
        guard let shown = Hex.bytes(text.lowercased()) else { return false }
        return ConstantTime.equal(shown, code(of: body, key: key))
    }

    private static func code(of body: some Sequence<UInt8>, key: [UInt8]) -> [UInt8] {
        Array(HMAC<SHA512>.authenticationCode(for: Array(body), using: SymmetricKey(data: key)))
    }
}
