package import ReenvioModel

extension Store {
    /// Everything that explains one payout; nil for one that the caller does not see. `now` is engine time, `wall` what
    /// times to come are shown by; `policy`
    /// says what a resend of it would come to. What waits at its receiver is counted whole, which takes its time for a
    /// very large backlog, unless it `isBounded`.
    package func why(
        payoutID: Int64, accountID: Int64?, window: ResendWindow?, policy: AddressPolicy, now: Timestamp,
        wall: Timestamp? = nil, isBounded: Bool = false
    ) async throws -> Why? {
        let found = try await engine.read { db in
            try db.first(
                """
                SELECT p.status_id, p.updated_at, p.notification_url, p.erased_at IS NOT NULL
                FROM payouts p JOIN merchants m ON m.id = p.merchant_id
                WHERE p.id = $1 AND (CAST($2 AS BIGINT) IS NULL OR m.account_id = $2)
                """, [.int(payoutID), .optional(accountID)]
            ) { row in
                let status = PayoutStatus(id: row.int(0)) ?? .awaiting
                let facts = WindowMatch.Facts(status: status, updatedAt: row.time(1), hasURL: !row.isNull(2))
                return (facts: facts, url: row.textIfPresent(2), isErased: row.bool(3))
            }
        }
        guard let found else { return nil }
        return Why(
            payoutID: payoutID, facts: found.facts, isErased: found.isErased,
            isURLRefused: found.url.map { (try? ReceiverURL(parsing: $0, policy: policy)) == nil } ?? false,
            window: window,
            log: try await deliveryLog(payoutID: payoutID, accountID: accountID, now: now, wall: wall) ?? [],
            receiver: try await receiver(ofPayout: payoutID, isBounded: isBounded),
            setAside: try await setAside(payoutID: payoutID, now: now))
    }

    /// Why a delivery of it is passed over; nil where none is.
    private func setAside(payoutID: Int64, now: Timestamp) async throws -> String? {
        try await engine.read { db in
            try db.first(
                """
                SELECT s.kind, s.merchant_id, s.id, s.reason, s.until_at FROM payouts p
                JOIN set_aside s ON s.merchant_id = p.merchant_id AND s.kind IN ('delivery', 'outcome')
                JOIN deliveries d ON d.merchant_id = s.merchant_id AND d.id = s.id
                WHERE p.id = $1 AND d.payout_id = p.id AND s.until_at >= $2 LIMIT 1
                """, [.int(payoutID), .time(now)]
            ) { row in
                SetAside.Kind(rawValue: row.text(0)).map {
                    SetAside($0, merchantID: row.int(1), id: row.int(2), reason: row.text(3), until: row.time(4)).text
                }
            } ?? nil
        }
    }
}
