package import ReenvioModel

extension Store {
    /// The registrations of a merchant, oldest first; deleted ones are gone (`docs/contract.md` 6.5).
    package func listRegistrations(
        merchantID: Int64, id: Int64? = nil, selection: EventSelection? = nil
    ) async throws -> [Registration] {
        try await engine.read { db in
            try db.all(
                """
                \(Self.registrationColumns)
                WHERE r.merchant_id = $1 AND r.deleted_at IS NULL AND (CAST($2 AS BIGINT) IS NULL OR r.id = $2)
                    AND (CAST($3 AS TEXT) IS NULL OR r.type = $3)
                ORDER BY r.id LIMIT $4
                """,
                [
                    .int(merchantID), .optional(id), .optional(selection?.rawValue),
                    .int(Limits.registrationsPerMerchant),
                ], Self.registration)
        }
    }

    /// A registration and its merchant, whoever asks; nil once it is deleted.
    package func registration(id: Int64) async throws -> (registration: Registration, merchant: Merchant)? {
        try await engine.lookup { db in
            guard let registration = try Self.findRegistration(id, in: db),
                let merchant = try db.first(
                    "\(Self.merchantColumns) WHERE id = $1", [.int(registration.merchantID)], Self.merchant)
            else { return nil }
            return (registration, merchant)
        }
    }

    static func findRegistration(_ id: Int64, in db: any SQLConnection) throws -> Registration? {
        try db.first(
            "\(registrationColumns) WHERE r.id = $1 AND r.deleted_at IS NULL", [.int(id)], registration)
    }

    private static let registrationColumns = """
        SELECT r.id, r.merchant_id, r.url, r.type, m.branch, m.number,
            CASE WHEN r.authorization_sealed IS NULL THEN 0 ELSE 1 END,
            CASE WHEN r.functions_key_sealed IS NULL THEN 0 ELSE 1 END
        FROM registrations r JOIN merchants m ON m.id = r.merchant_id
        """

    private static func registration(_ row: any SQLRow) throws -> Registration {
        guard let selection = EventSelection(rawValue: row.text(3)) else {
            throw StoreError.failed("registration \(row.int(0)) has an unknown type")
        }
        return Registration(
            id: row.int(0), merchantID: row.int(1), url: row.text(2), selection: selection,
            account: AccountName(branch: row.textIfPresent(4) ?? "", number: row.textIfPresent(5) ?? ""),
            hasAuthorizationToken: row.bool(6), hasFunctionsKey: row.bool(7))
    }
}
