package import ReenvioModel

/// What `reenvio merchant create` asks for.
package struct NewMerchant: Sendable {
    package var id: Int64?
    package var accountID: Int64
    package var name: String
    package var branch: String?
    package var number: String?
    package var accountMismatch: Bool
    package var signingSecret: SigningSecret
    package var compatKey: String

    package init(
        id: Int64?, accountID: Int64, name: String, branch: String? = nil, number: String? = nil,
        accountMismatch: Bool = false, signingSecret: SigningSecret, compatKey: String? = nil
    ) {
        self.id = id
        self.accountID = accountID
        self.name = name
        self.branch = branch
        self.number = number
        self.accountMismatch = accountMismatch
        self.signingSecret = signingSecret
        // docs/contract.md 3.2: the compat key defaults to the whole text of the first signing secret.
        self.compatKey = compatKey ?? signingSecret.text
    }
}

/// Why something could not be created, in words for the person at the terminal.
package struct CreationRefused: Error, Equatable, CustomStringConvertible {
    package var description: String

    package init(description: String) {
        self.description = description
    }
}

extension Store {
    package func createAccount(name: String, actor: String, now: Timestamp) async throws -> Int64 {
        try await engine.write(.intake) { db in
            let id = try db.nextIDs(.account, 1)[0]
            try db.run(
                "INSERT INTO accounts (id, name, created_at) VALUES ($1, $2, $3)", [.int(id), .text(name), .time(now)]
            )
            try Audit.write(
                Audit.Entry(
                    at: now, accountID: id, by: Requester(actor: actor), action: "account.create",
                    target: "account \(id)"),
                in: db
            )
            return id
        }
    }

    /// Creates a merchant with its clock and secrets; returns its id.
    /// - Throws: `CreationRefused` for an unknown account, a taken id, or a branch and number that are in use.
    package func createMerchant(_ merchant: NewMerchant, actor: String, now: Timestamp) async throws -> Int64 {
        try await engine.write(.intake) { db in
            guard try db.first("SELECT 1 FROM accounts WHERE id = $1", [.int(merchant.accountID)], { $0.int(0) }) != nil
            else { throw CreationRefused(description: "there is no account \(merchant.accountID)") }
            let id = try merchant.id ?? db.nextIDs(.merchant, 1)[0]
            try db.pass(.merchant, id)
            let changed = try db.run(
                """
                INSERT INTO merchants (id, account_id, name, branch, number, account_mismatch, created_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING
                """,
                [
                    .int(id), .int(merchant.accountID), .text(merchant.name), .optional(merchant.branch),
                    .optional(merchant.number), .bool(merchant.accountMismatch), .time(now),
                ]
            )
            guard changed == 1 else {
                if merchant.id == nil { try db.expectFree(id, of: .merchant) }
                throw CreationRefused(description: "merchant \(id), or its branch and number, exists already")
            }
            try db.run("INSERT INTO merchant_clocks (merchant_id, seq) VALUES ($1, 0)", [.int(id)])
            try insertSecret(merchant.signingSecret.text, .signing, merchantID: id, now: now, in: db)
            try insertSecret(merchant.compatKey, .compat, merchantID: id, now: now, in: db)
            try Audit.write(
                Audit.Entry(
                    at: now, accountID: merchant.accountID, by: Requester(actor: actor), action: "merchant.create",
                    target: "merchant \(id)"
                ), in: db
            )
            return id
        }
    }

    package enum SecretKind: String, Sendable {
        case signing, compat
    }

    static func secretContext(_ kind: SecretKind, merchantID: Int64, version: Int64) -> String {
        "\(kind.rawValue) secret \(version) of merchant \(merchantID)"
    }

    func insertSecret(
        _ text: String, _ kind: SecretKind, merchantID: Int64, version: Int64 = 1, now: Timestamp,
        in db: any SQLConnection
    ) throws {
        let sealed = try sealing.seal(
            Array(text.utf8), context: Self.secretContext(kind, merchantID: merchantID, version: version)
        )
        try db.run(
            """
            INSERT INTO secrets (merchant_id, kind, version, sealed, key_id, created_at) VALUES ($1, $2, $3, $4, $5, $6)
            """,
            [.int(merchantID), .text(kind.rawValue), .int(version), .blob(sealed), .text(sealing.id), .time(now)]
        )
    }

    /// - Throws: `CreationRefused` for an unknown account, or a merchant that is not the account's.
    package func createKey(_ key: APIKey, text: APIKeyText, actor: String, now: Timestamp) async throws {
        try await engine.write(.intake) { db in
            if let accountID = key.accountID {
                guard try db.first("SELECT 1 FROM accounts WHERE id = $1", [.int(accountID)], { $0.int(0) }) != nil
                else {
                    throw CreationRefused(description: "there is no account \(accountID)")
                }
            }
            for merchantID in key.merchants?.sorted() ?? [] {
                let owner = try db.first("SELECT account_id FROM merchants WHERE id = $1", [.int(merchantID)]) {
                    $0.int(0)
                }
                guard let owner, owner == key.accountID else {
                    throw CreationRefused(description: "merchant \(merchantID) is not one of the key's account")
                }
            }
            try db.run(
                """
                INSERT INTO api_keys (id, hash, name, account_id, scopes, cidrs, expires_at, created_at, merchants)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                """,
                [
                    .text(key.id), .blob(text.hash), .text(key.name), .optional(key.accountID),
                    .text(key.hasEveryScope ? Self.everyScope : key.scopes.map(\.rawValue).joined(separator: ",")),
                    .text(key.cidrs.map(\.description).joined(separator: ",")), .optional(key.expiresAt), .time(now),
                    .optional(key.merchants.map { $0.sorted().map { String($0) }.joined(separator: ",") }),
                ]
            )
            try Audit.write(
                Audit.Entry(
                    at: now, accountID: key.accountID, by: Requester(actor: actor), action: "key.create",
                    target: "key \(key.id)", parameters: Self.auditText(key)
                ), in: db
            )
            return ()
        }
    }

    /// What a key may do, for the audit.
    private static func auditText(_ key: APIKey) -> String {
        var parts = key.isOperator ? ["operator"] : []
        if !key.hasEveryScope { parts.append("scopes " + key.scopes.map(\.rawValue).joined(separator: " ")) }
        if let merchants = key.merchants {
            parts.append("merchants " + merchants.sorted().map { String($0) }.joined(separator: " "))
        }
        return parts.joined(separator: ", ")
    }
}
