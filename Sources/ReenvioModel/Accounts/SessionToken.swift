import Crypto

/// What the cookie of a dashboard session says: 32 random bytes in hex. Only its hash is stored, and the token that
/// each form carries is made from it, so that whoever cannot read the cookie cannot make one.
package struct SessionToken: Sendable, Equatable {
    package let text: String

    package init(using generator: inout some RandomNumberGenerator) {
        text = Hex.text((0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }

    /// Nil unless it has the form of one.
    package init?(_ text: String) {
        guard text.utf8.count == 64, Hex.bytes(text) != nil else { return nil }
        self.text = text
    }

    package var hash: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }

    /// The hidden field of the session's forms.
    package var formToken: String {
        let key = SymmetricKey(data: Array(text.utf8))
        return Hex.text(HMAC<SHA256>.authenticationCode(for: Array("form".utf8), using: key))
    }

    package func accepts(formToken shown: String) -> Bool {
        ConstantTime.equal(Array(shown.utf8), Array(formToken.utf8))
    }
}
