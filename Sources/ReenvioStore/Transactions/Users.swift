package import ReenvioModel

/// What `reenvio user create` asks for.
package struct NewUser: Sendable {
    package var id: Int64?
    package var accountID: Int64
    /// The merchants that it may act on; nil means every one of the account, later ones included.
    package var merchants: Set<Int64>?
    package var credentials: ClientCredentials

    package init(id: Int64? = nil, accountID: Int64, merchants: Set<Int64>? = nil, credentials: ClientCredentials) {
        self.id = id
        self.accountID = accountID
        self.merchants = merchants
        self.credentials = credentials
    }
}

extension Store {
    /// Creates a user with its policies; returns its id.
    /// - Throws: `CreationRefused` for an unknown account, a taken id, a merchant that the account does not own, or
    ///   more merchants than `Limits.policiesPerUser`.
    package func createUser(_ user: NewUser, by requester: Requester, now: Timestamp) async throws -> Int64 {
        let merchants = user.merchants.map { $0.sorted() }
        guard merchants?.count ?? 0 <= Limits.policiesPerUser else {
            throw CreationRefused(description: "a user may have at most \(Limits.policiesPerUser) merchants of its own")
        }
        return try await engine.write(.intake) { db in
            guard try db.first("SELECT 1 FROM accounts WHERE id = $1", [.int(user.accountID)], { $0.int(0) }) != nil
            else { throw CreationRefused(description: "there is no account \(user.accountID)") }
            let id = try user.id ?? db.nextIDs(.user, 1)[0]
            try db.pass(.user, id)
            let changed = try db.run(
                """
                INSERT INTO users (id, account_id, client_id, secret_hash, all_merchants, created_at)
                VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
                """,
                [
                    .int(id), .int(user.accountID), .text(user.credentials.clientID),
                    .blob(ClientCredentials.hash(user.credentials.secret)), .bool(merchants == nil), .time(now),
                ])
            guard changed == 1 else {
                if user.id == nil { try db.expectFree(id, of: .user) }
                throw CreationRefused(description: "user \(id) exists already")
            }
            for merchantID in merchants ?? [] {
                let owned = try db.run(
                    """
                    INSERT INTO user_policies (user_id, merchant_id)
                    SELECT $1, id FROM merchants WHERE id = $2 AND account_id = $3
                    """,
                    [.int(id), .int(merchantID), .int(user.accountID)])
                guard owned == 1 else {
                    throw CreationRefused(description: "account \(user.accountID) has no merchant \(merchantID)")
                }
            }
            let policies = merchants.map { $0.map(String.init).joined(separator: ",") } ?? "all"
            try Self.audit(
                user: id, of: user.accountID, "user.create", parameters: "merchants \(policies)", by: requester, now,
                in: db)
            return id
        }
    }

    /// Ends a user's sign-ins, and the use of its tokens from the next request on. One that was deactivated before
    /// stays as it is.
    /// - Returns: the user as it stands now; nil for an unknown id.
    package func deactivateUser(id: Int64, by requester: Requester, now: Timestamp) async throws -> User? {
        try await engine.write(.intake) { db in
            let changed = try db.run(
                "UPDATE users SET deactivated_at = $2 WHERE id = $1 AND deactivated_at IS NULL", [.int(id), .time(now)])
            let user = try Self.findUser("id = $1", .int(id), in: db)?.user
            if changed == 1, let user {
                try Self.audit(user: id, of: user.accountID, "user.deactivate", by: requester, now, in: db)
            }
            return user
        }
    }

    /// From now on the user has to sign what it registers with this key (`hmac`, `docs/contract.md` 9).
    /// - Returns: false for an unknown user.
    package func setHMACKey(_ key: String, userID: Int64, by requester: Requester, now: Timestamp) async throws -> Bool
    {
        let sealed = try sealing.seal(Array(key.utf8), context: Self.hmacKeyContext(userID: userID))
        return try await engine.write(.intake) { db in
            try db.run(
                "UPDATE users SET hmac_sealed = $2, hmac_key_id = $3 WHERE id = $1",
                [.int(userID), .blob(sealed), .text(sealing.id)])
            guard let user = try Self.findUser("id = $1", .int(userID), in: db)?.user else { return false }
            try Self.audit(user: userID, of: user.accountID, "user.hmac-key", by: requester, now, in: db)
            return true
        }
    }

    /// Remembers that a user got a token.
    package func recordSignIn(
        _ user: User, parameters: String = "", by requester: Requester, now: Timestamp
    ) async throws {
        try await engine.write(.intake) { db in
            try Self.audit(
                user: user.id, of: user.accountID, "user.sign-in", parameters: parameters, by: requester, now, in: db)
        }
    }

    private static func audit(
        user id: Int64, of accountID: Int64, _ action: String, parameters: String = "", by requester: Requester,
        _ now: Timestamp, in db: any SQLConnection
    ) throws {
        let entry = Audit.Entry(
            at: now, accountID: accountID, by: requester, action: action, target: "user \(id)", parameters: parameters)
        try Audit.write(entry, in: db)
    }
}
