package import ReenvioModel

extension Store {
    /// The key a request shows, if there is one and its hash fits. Whether it may still be used is the caller's to
    /// judge.
    package func apiKey(_ text: APIKeyText) async throws -> APIKey? {
        let found = try await engine.lookup { db in
            try db.first("\(Self.keyColumns) WHERE id = $1", [.text(text.id)]) { (Self.key($0), $0.blob(9)) }
        }
        guard let (key, hash) = found, ConstantTime.equal(hash, text.hash) else { return nil }
        return key
    }

    /// Every key, oldest first.
    package func listKeys() async throws -> [APIKey] {
        try await engine.read { db in try db.all("\(Self.keyColumns) ORDER BY created_at, id", [], Self.key) }
    }

    static let keyColumns = """
        SELECT id, name, account_id, scopes, cidrs, expires_at, revoked_at, created_at, merchants, hash FROM api_keys
        """

    /// What stands for every scope, those of later releases included.
    static let everyScope = "*"

    static func key(_ row: any SQLRow) -> APIKey {
        let scopes = row.text(3)
        return APIKey(
            id: row.text(0), name: row.text(1), accountID: row.intIfPresent(2),
            scopes: scopes.split(separator: ",").compactMap { Scope(rawValue: String($0)) },
            hasEveryScope: scopes == everyScope && row.isNull(2),
            merchants: row.textIfPresent(8).map { Set($0.split(separator: ",").compactMap { Int64($0) }) },
            cidrs: row.text(4).split(separator: ",").compactMap { CIDR(String($0)) },
            expiresAt: row.timeIfPresent(5), revokedAt: row.timeIfPresent(6), createdAt: row.time(7)
        )
    }

    /// The merchants of a key as one parameter, for `isAmong`.
    static func parameter(_ merchants: Set<Int64>) -> SQLValue {
        .text("," + merchants.sorted().map { "\($0)," }.joined())
    }

    /// Whether a merchant id is one of those that parameter `place` lists.
    static func isAmong(_ column: String, _ place: Int) -> String {
        "$\(place) LIKE '%,' || CAST(\(column) AS TEXT) || ',%'"
    }

    /// A merchant that the caller may act for: `accountID` nil means every account.
    package func merchant(id: Int64, accountID: Int64?) async throws -> Merchant? {
        try await engine.lookup { db in
            try db.first(
                "\(Self.merchantColumns) WHERE id = $1 AND (CAST($2 AS BIGINT) IS NULL OR account_id = $2)",
                [.int(id), .optional(accountID)], Self.merchant
            )
        }
    }

    /// The account's merchant when it owns exactly one (`docs/contract.md` 2.1).
    package func onlyMerchant(accountID: Int64) async throws -> Merchant? {
        try await engine.lookup { db in
            let merchants = try db.all(
                "\(Self.merchantColumns) WHERE account_id = $1 ORDER BY id LIMIT 2",
                [.int(accountID)], Self.merchant
            )
            return merchants.count == 1 ? merchants[0] : nil
        }
    }

    static let merchantColumns = """
        SELECT id, account_id, name, branch, number, account_mismatch, closed_at FROM merchants
        """

    static func merchant(_ row: any SQLRow) -> Merchant {
        Merchant(
            id: row.int(0), accountID: row.int(1), name: row.text(2), branch: row.textIfPresent(3),
            number: row.textIfPresent(4), accountMismatch: row.bool(5), closedAt: row.timeIfPresent(6)
        )
    }

    /// The signing secrets and compat keys of merchants, opened; those that signatures need now.
    package func secrets(merchantIDs: [Int64], now: Timestamp) async throws -> [Int64: MerchantSecrets] {
        let rows = try await engine.read { db in
            var wanted = SQLRows([("id", .int)])
            for id in merchantIDs { wanted.append([.int(id)]) }
            var found: [SealedSecret] = []
            try db.batch(
                """
                SELECT s.merchant_id, s.kind, s.version, s.sealed, s.key_id, s.expires_at
                FROM secrets s, {rows} WHERE s.merchant_id = rows.id ORDER BY s.version DESC
                """,
                wanted
            ) { row in
                if let expires = row.timeIfPresent(5), expires <= now { return }
                found.append(
                    SealedSecret(
                        merchantID: row.int(0), kind: row.text(1), version: row.int(2), sealed: row.blob(3),
                        keyID: row.text(4)
                    )
                )
            }
            return found
        }
        var result: [Int64: MerchantSecrets] = [:]
        for row in rows {
            guard let kind = SecretKind(rawValue: row.kind) else { continue }
            let context = Self.secretContext(kind, merchantID: row.merchantID, version: row.version)
            // One damaged row must not silence the other merchants; its own is named when the secret is needed.
            guard let plain = try? sealing.open(row.sealed, keyID: row.keyID, context: context) else { continue }
            let text = String(decoding: plain, as: UTF8.self)
            var secrets = result[row.merchantID] ?? MerchantSecrets(signing: [], compatKey: "")
            switch kind {
            case .signing: SigningSecret(text).map { secrets.signing.append($0) }
            // Newest first, so the last one read is the oldest that is still valid (docs/contract.md 13.12).
            case .compat: secrets.compatKey = text
            }
            result[row.merchantID] = secrets
        }
        return result
    }

    private struct SealedSecret: Sendable {
        var merchantID: Int64
        var kind: String
        var version: Int64
        var sealed: [UInt8]
        var keyID: String
    }
}

/// What a merchant's webhooks are signed with: every valid signing secret, newest first, and the compat key.
package struct MerchantSecrets: Sendable {
    package var signing: [SigningSecret]
    package var compatKey: String
}
