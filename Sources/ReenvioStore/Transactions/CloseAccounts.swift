package import ReenvioModel

extension Store {
    /// Ends a key's use from its next lookup on. A key that was revoked before stays as it is.
    /// - Returns: the key as it stands now; nil for an unknown id.
    package func revokeKey(id: String, by requester: Requester, now: Timestamp) async throws -> APIKey? {
        try await engine.write(.intake) { db in
            let changed = try db.run(
                "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", [.text(id), .time(now)])
            let key = try db.first("\(Self.keyColumns) WHERE id = $1", [.text(id)], Self.key)
            if changed == 1 {
                let entry = Audit.Entry(
                    at: now, accountID: key?.accountID, by: requester, action: "key.revoke", target: "key \(id)")
                try Audit.write(entry, in: db)
            }
            return key
        }
    }

    /// Closes a merchant: no new payouts are taken for it; what exists goes on (`docs/contract.md` 6.3, 10).
    /// - Returns: the merchant as it stands now; nil for an unknown id.
    package func closeMerchant(id: Int64, by requester: Requester, now: Timestamp) async throws -> Merchant? {
        try await engine.write(.intake) { db in
            let changed = try db.run(
                "UPDATE merchants SET closed_at = $2 WHERE id = $1 AND closed_at IS NULL", [.int(id), .time(now)])
            let merchant = try db.first("\(Self.merchantColumns) WHERE id = $1", [.int(id)], Self.merchant)
            if changed == 1 {
                let entry = Audit.Entry(
                    at: now, accountID: merchant?.accountID, by: requester, action: "merchant.close",
                    target: "merchant \(id)")
                try Audit.write(entry, in: db)
            }
            return merchant
        }
    }
}
