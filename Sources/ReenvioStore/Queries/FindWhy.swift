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
            receiver: try await receiver(ofPayout: payoutID, isBounded: isBounded))
    }
}
