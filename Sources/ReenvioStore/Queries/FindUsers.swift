package import ReenvioModel

extension Store {
    /// A user with its policies, deactivated or not.
    package func user(id: Int64) async throws -> User? {
        try await engine.lookup { db in try Self.findUser("id = $1", .int(id), in: db)?.user }
    }

    /// The user of a client id whose secret has this hash, deactivated or not. It takes the same time whether the id or
    /// the secret is wrong.
    package func user(clientID: String, secretHash: [UInt8]) async throws -> User? {
        let found = try await engine.lookup { db in try Self.findUser("client_id = $1", .text(clientID), in: db) }
        let expected = found?.secretHash ?? [UInt8](repeating: 0, count: secretHash.count)
        return ConstantTime.equal(expected, secretHash) ? found?.user : nil
    }

    /// `condition` is a constant text with the parameter `$1`.
    static func findUser(
        _ condition: String, _ value: SQLValue, in db: any SQLConnection
    ) throws -> (user: User, secretHash: [UInt8])? {
        let found = try db.first(
            "SELECT id, account_id, all_merchants, deactivated_at, secret_hash FROM users WHERE \(condition)", [value]
        ) { row in
            let user = User(
                id: row.int(0), accountID: row.int(1), policies: row.bool(2) ? .all : .only([]),
                deactivatedAt: row.timeIfPresent(3))
            return (user: user, secretHash: row.blob(4))
        }
        guard var found, found.user.policies != .all else { return found }
        let merchants = try db.all(
            "SELECT merchant_id FROM user_policies WHERE user_id = $1 ORDER BY merchant_id LIMIT $2",
            [.int(found.user.id), .int(Limits.policiesPerUser)]
        ) { $0.int(0) }
        found.user.policies = .only(Set(merchants))
        return found
    }

    /// The merchant behind an account mirror that the user has a policy for, closed or not; nil where there is none or
    /// it is another's (`docs/contract.md` 6.3 and 9).
    package func mirror(branch: String, number: String, for user: User) async throws -> Merchant? {
        let found = try await engine.lookup { db in
            try db.first(
                "\(Self.merchantColumns) WHERE branch = $1 AND number = $2", [.text(branch), .text(number)],
                Self.merchant)
        }
        guard let found, user.mayUse(merchantID: found.id, accountID: found.accountID) else { return nil }
        return found
    }

    /// The keys that access tokens may be signed with, newest first: the two newest are valid (`docs/contract.md` 9).
    package func tokenKeys() async throws -> [TokenKey] {
        let sealed = try await engine.lookup { db in
            try db.all(
                "SELECT id, sealed, key_id FROM token_keys ORDER BY version DESC LIMIT 2"
            ) { (id: $0.text(0), sealed: $0.blob(1), keyID: $0.text(2)) }
        }
        return try sealed.map { row in
            let secret = try sealing.open(row.sealed, keyID: row.keyID, context: Self.tokenKeyContext(row.id))
            return TokenKey(id: row.id, secret: secret)
        }
    }

    static func tokenKeyContext(_ id: String) -> String {
        "token key \(id)"
    }

    /// The key with which a user signs its requests (`hmac`, `docs/contract.md` 9); nil where it has none.
    package func hmacKey(userID: Int64) async throws -> [UInt8]? {
        let found = try await engine.lookup { db in
            try db.first("SELECT hmac_sealed, hmac_key_id FROM users WHERE id = $1", [.int(userID)]) { row in
                (sealed: row.blobIfPresent(0), keyID: row.textIfPresent(1))
            }
        }
        guard let found, let sealed = found.sealed, let keyID = found.keyID else { return nil }
        return try sealing.open(sealed, keyID: keyID, context: Self.hmacKeyContext(userID: userID))
    }

    static func hmacKeyContext(userID: Int64) -> String {
        "hmac key of user \(userID)"
    }
}
