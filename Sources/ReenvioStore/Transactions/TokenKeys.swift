package import ReenvioModel

extension Store {
    /// Makes `key` the newest one, which signs from now on; the one before it stays valid, older ones are destroyed
    /// (`docs/contract.md` 9).
    /// - Returns: the version of the key.
    @discardableResult
    package func rotateTokenKey(_ key: TokenKey, by requester: Requester, now: Timestamp) async throws -> Int64 {
        let sealed = try sealing.seal(key.secret, context: Self.tokenKeyContext(key.id))
        return try await engine.write(.intake) { db in
            // One rotation after the other: the second waits for the row that the first replaces.
            try db.query("SELECT id FROM token_keys ORDER BY version FOR UPDATE", []) { _ in }
            let version = try Self.newestTokenKey(in: db) + 1
            guard try insertTokenKey(key.id, sealed, version: version, now: now, in: db) else {
                throw StoreError.unavailable("another token key was made at the same time")
            }
            try db.run("DELETE FROM token_keys WHERE version < $1", [.int(version - 1)])
            let entry = Audit.Entry(
                at: now, accountID: nil, by: requester, action: "token-key.rotate", target: "token key \(key.id)")
            try Audit.write(entry, in: db)
            return version
        }
    }

    /// Makes `key` the first one; where there is one already, that stays and `key` is forgotten.
    package func ensureTokenKey(_ key: TokenKey, now: Timestamp) async throws {
        let sealed = try sealing.seal(key.secret, context: Self.tokenKeyContext(key.id))
        try await engine.write(.intake) { db in
            guard try Self.newestTokenKey(in: db) == 0 else { return }
            // Nodes that start together make one.
            _ = try insertTokenKey(key.id, sealed, version: 1, now: now, in: db)
        }
    }

    /// 0 where there is none.
    private static func newestTokenKey(in db: any SQLConnection) throws -> Int64 {
        try db.first("SELECT coalesce(max(version), 0) FROM token_keys") { $0.int(0) } ?? 0
    }

    /// - Returns: false where there is one of that version already.
    private func insertTokenKey(
        _ id: String, _ sealed: [UInt8], version: Int64, now: Timestamp, in db: any SQLConnection
    ) throws -> Bool {
        try db.run(
            """
            INSERT INTO token_keys (id, version, sealed, key_id, created_at) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT DO NOTHING
            """,
            [.text(id), .int(version), .blob(sealed), .text(sealing.id), .time(now)]) == 1
    }
}
