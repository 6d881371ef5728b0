package import ReenvioModel

extension Store {
    /// Gives one payout another URL, or one where it had none; its open deliveries follow (`docs/contract.md` 13.16).
    /// What happened before it had a URL stays untold.
    /// - Returns: false for an unknown payout.
    package func setPayoutURL(
        id: Int64, _ url: ReceiverURL, by requester: Requester, now: Timestamp
    ) async throws -> Bool {
        let isFound = try await engine.write(.intake) { db -> Bool in
            let merchantID = try db.first("SELECT merchant_id FROM payouts WHERE id = $1", [.int(id)]) { $0.int(0) }
            guard let merchantID else { return false }
            _ = try MerchantClocks(locking: [merchantID], in: db)
            let found = try db.first(
                """
                SELECT p.latest_seq, p.receiver_id, p.notification_url, r.origin, m.account_id
                FROM payouts p JOIN merchants m ON m.id = p.merchant_id LEFT JOIN receivers r ON r.id = p.receiver_id
                WHERE p.id = $1
                """, [.int(id)]
            ) { row in
                (
                    seq: row.int(0), receiverID: row.intIfPresent(1), url: row.textIfPresent(2),
                    origin: row.textIfPresent(3), accountID: row.int(4)
                )
            }
            guard let found, found.url != url.text else { return true }
            let receiverID = try Receivers.find(or: [(merchantID, url.origin)], now, in: db)[0] ?? 0
            try MovePayoutURLs([
                MovePayoutURLs.Payout(
                    id: id, merchantID: merchantID, latestSeq: found.seq, from: found.receiverID, to: receiverID,
                    url: url.text)
            ]).write(in: db)
            if found.receiverID != receiverID {
                try Self.moveOpen(payoutID: id, merchantID: merchantID, to: receiverID, in: db)
            }
            let entry = Audit.Entry(
                at: now, accountID: found.accountID, by: requester, action: "payout.set-url", target: "payout \(id)",
                parameters: "from \(found.origin ?? "none") to \(url.origin)")
            try Audit.write(entry, in: db)
            return true
        }
        if isFound { announceWork() }
        return isFound
    }

    private static func moveOpen(
        payoutID: Int64, merchantID: Int64, to receiverID: Int64, in db: any SQLConnection
    ) throws {
        var following = FollowingDeliveries(merchantID: merchantID)
        for sql in [DeliveryLogSQL.live, DeliveryLogSQL.resent] {
            try db.query(sql, [.int(payoutID), .int(merchantID)]) { row in
                guard let queue = QueueID(raw: row.int(6)) else { return }
                following.add(id: row.int(0), queue: queue, due: row.time(1), to: receiverID)
            }
        }
        try following.save(in: db)
    }
}
