import Crypto

/// Why a credential was refused (`docs/contract.md` 4.4).
package enum FailedAuthentication: String, Sendable, CaseIterable {
    /// Missing, malformed, unknown or badly signed: perhaps a guess.
    case unknown
    /// A key of ours that was revoked or has expired, or may not be used from there.
    case dead
    /// A token that this server signed, and that has expired or whose user was deactivated. It is no guess, and
    /// programs show one by the hour until they sign in again.
    case expired
    /// Refused as too many; the reason is no longer looked at.
    case throttled

    /// Tells credentials apart without keeping them.
    package static func digest(of shown: String) -> UInt64 {
        SHA256.hash(data: Array(shown.utf8)).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
