package import ReenvioModel

/// How a merchant's signing secret is replaced (`docs/contract.md` 13.12).
package struct SecretRotation: Sendable {
    package var merchantID: Int64
    package var secret: SigningSecret
    /// How long the old secrets go on signing beside the new one.
    package var overlap: Duration
    /// Whether the compat key becomes the new secret's text, too; until the overlap ends the old one is used.
    package var replacesCompatKey: Bool

    package init(merchantID: Int64, secret: SigningSecret, overlap: Duration, replacesCompatKey: Bool) {
        self.merchantID = merchantID
        self.secret = secret
        self.overlap = overlap
        self.replacesCompatKey = replacesCompatKey
    }
}

extension Store {
    /// Most secrets that sign at once: each adds a value to the header of every webhook.
    package static let signingSecretsMax: Int64 = 4

    /// Adds the new secret and dates the end of the old ones, in one commit. Running servers sign with it within
    /// seconds.
    /// - Returns: when the overlap ends; nil for a merchant that the account does not own.
    package func rotateSecret(
        _ rotation: SecretRotation, accountID: Int64?, by requester: Requester, now: Timestamp
    ) async throws -> Timestamp? {
        let end = now + rotation.overlap
        return try await engine.write(.intake) { db in
            let owner = try db.first(
                """
                SELECT account_id FROM merchants WHERE id = $1 AND (CAST($2 AS BIGINT) IS NULL OR account_id = $2)
                FOR UPDATE
                """,
                [.int(rotation.merchantID), .optional(accountID)]
            ) { $0.int(0) }
            guard let owner else { return nil }
            try replace(.signing, with: rotation, end: end, now: now, in: db)
            if rotation.replacesCompatKey { try replace(.compat, with: rotation, end: end, now: now, in: db) }
            let what = rotation.replacesCompatKey ? "signing secret and compat key" : "signing secret"
            let entry = Audit.Entry(
                at: now, accountID: owner, by: requester, action: "secret.rotate",
                target: "merchant \(rotation.merchantID)",
                parameters: "\(what), overlap until \(TimeText.zulu(end))")
            try Audit.write(entry, in: db)
            return end
        }
    }

    private func replace(
        _ kind: SecretKind, with rotation: SecretRotation, end: Timestamp, now: Timestamp, in db: any SQLConnection
    ) throws {
        let merchantID = rotation.merchantID
        let newest = try db.first(
            "SELECT max(version) FROM secrets WHERE merchant_id = $1 AND kind = $2",
            [.int(merchantID), .text(kind.rawValue)]
        ) { $0.intIfPresent(0) }
        let version = ((newest ?? nil) ?? 0) + 1
        try db.run(
            """
            UPDATE secrets SET expires_at = CASE WHEN version <= $5 THEN $4 ELSE $3 END
            WHERE merchant_id = $1 AND kind = $2 AND (expires_at IS NULL OR expires_at > $3 OR version <= $5)
            """,
            [
                .int(merchantID), .text(kind.rawValue), .time(end), .time(now),
                .int(version - Self.signingSecretsMax),
            ])
        try insertSecret(rotation.secret.text, kind, merchantID: merchantID, version: version, now: now, in: db)
    }
}
