package import ReenvioModel

/// A payout as it was read, its parties still sealed.
struct SealedPayout: Sendable {
    var payout: Payout
    var sealed: [UInt8]?
    var keyID: String?
}

extension Store {
    /// A payout with its parties. `accountID` limits the search to that account's merchants; nil means every account.
    package func payout(id: Int64, accountID: Int64?) async throws -> Payout? {
        let found = try await engine.lookup { db in try Self.findPayout(id, accountID: accountID, in: db) }
        return try found.map { try open($0) }
    }

    static func findPayout(_ id: Int64, accountID: Int64?, in db: any SQLConnection) throws -> SealedPayout? {
        try db.first(findPayout, [.int(id), .optional(accountID)]) { row in
            SealedPayout(payout: payout(row), sealed: row.blobIfPresent(16), keyID: row.textIfPresent(17))
        }
    }

    func open(_ row: SealedPayout) throws -> Payout {
        guard let sealed = row.sealed, let keyID = row.keyID else { return row.payout }
        let context = Self.partiesContext(merchantID: row.payout.merchantID, invoice: row.payout.invoice)
        let plain = try sealing.open(sealed, keyID: keyID, context: context)
        guard case .object(let object) = try JSONParser.parse(plain) else { return row.payout }
        var complete = row.payout
        complete.parties = Parties(json: object)
        return complete
    }

    static let payoutColumns = """
        SELECT p.id, p.merchant_id, m.name, p.invoice, p.amount_minor, p.currency, p.purpose, p.status_id, p.end_to_end,
            p.rejection_description, p.authentication_code, p.notification_url, p.created_at, p.updated_at, p.paid_at,
            m.account_id, s.sealed, s.key_id
        """

    private static let findPayout = """
        \(payoutColumns)
        FROM payouts p JOIN merchants m ON m.id = p.merchant_id
        LEFT JOIN parties s ON s.merchant_id = p.merchant_id AND s.kind = 'payout' AND s.object_id = p.id
        WHERE p.id = $1 AND (CAST($2 AS BIGINT) IS NULL OR m.account_id = $2)
        """

    static func payout(_ row: any SQLRow) -> Payout {
        Payout(
            id: row.int(0), merchantID: row.int(1), merchantName: row.text(2), invoice: row.text(3),
            amount: Money(minor: row.int(4), currency: row.text(5)), purpose: row.text(6),
            status: PayoutStatus(id: row.int(7)) ?? .awaiting, endToEnd: row.textIfPresent(8),
            rejectionDescription: row.textIfPresent(9), authenticationCode: row.textIfPresent(10),
            notificationURL: row.textIfPresent(11), createdAt: row.time(12), updatedAt: row.time(13),
            paidAt: row.timeIfPresent(14), parties: nil
        )
    }
}
