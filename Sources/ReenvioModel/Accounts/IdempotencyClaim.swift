import Crypto

/// One request that carries an `Idempotency-Key` (`docs/contract.md` 13.8).
package struct IdempotencyClaim: Equatable, Sendable {
    /// What a key is unique in, and the key itself.
    package struct Name: Hashable, Sendable, Comparable {
        /// 0 for operators, who belong to no account.
        package var accountID: Int64
        package var method: String
        package var path: String
        package var key: String

        package static func < (left: Name, right: Name) -> Bool {
            (left.accountID, left.method, left.path, left.key) < (right.accountID, right.method, right.path, right.key)
        }
    }

    package var name: Name
    /// SHA-256 of the body as it came: bodies are compared byte for byte.
    package var bodyHash: [UInt8]
    /// Keys claimed until then have ended. Nil: as the wall clock says.
    package var endedBefore: Timestamp?

    /// - Throws: a fault on `idempotency_key` for a key that is too long.
    package init(
        accountID: Int64?, method: String, path: String, key: String, body: some Sequence<UInt8>
    ) throws(Faults) {
        guard key.utf8.count <= Limits.idempotencyKeyBytes else {
            throw Faults(
                "idempotency_key",
                "The idempotency_key field must not be longer than \(Limits.idempotencyKeyBytes) characters.")
        }
        name = Name(accountID: accountID ?? 0, method: method, path: path, key: key)
        bodyHash = Array(SHA256.hash(data: Array(body)))
    }
}
