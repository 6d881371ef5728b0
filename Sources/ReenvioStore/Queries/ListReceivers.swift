package import ReenvioModel

extension Store {
    /// Receivers with at least one delivery so far, newest first, and the cursor of the next page; nil after the last.
    /// - Parameters:
    ///   - merchants: the only ones that the caller may act for.
    ///   - isBounded: counts what waits up to `Limits.countedForPages` only.
    package func listReceivers(
        merchantID: Int64?, accountID: Int64?, merchants: Set<Int64>? = nil, _ page: CursorPage,
        isBounded: Bool = false
    ) async throws -> (receivers: [Receiver], next: String?) {
        let columns = isBounded ? Self.boundedReceiverColumns : Self.receiverColumns
        let found = try await engine.read { db in
            try db.all(
                """
                \(columns) JOIN merchants m ON m.id = r.merchant_id
                WHERE r.is_known = 1 AND r.id < $1 AND (CAST($2 AS BIGINT) IS NULL OR r.merchant_id = $2)
                    AND (CAST($3 AS BIGINT) IS NULL OR m.account_id = $3)
                    \(merchants == nil ? "" : "AND \(Self.isAmong("r.merchant_id", 5))")
                ORDER BY r.id DESC LIMIT $4
                """,
                [
                    .int(page.after ?? Int64.max), .optional(merchantID), .optional(accountID), .int(page.limit + 1),
                ] + (merchants.map { [Self.parameter($0)] } ?? []), Self.receiver)
        }
        let receivers = Array(found.prefix(Int(page.limit)))
        return (receivers, found.count > receivers.count ? receivers.last.map { CursorPage.cursor($0.id) } : nil)
    }

    /// The receiver of a payout's URL; nil before its first delivery.
    package func receiver(ofPayout id: Int64, isBounded: Bool = false) async throws -> Receiver? {
        let columns = isBounded ? Self.boundedReceiverColumns : Self.receiverColumns
        return try await engine.read { db in
            try db.first(
                """
                \(columns) WHERE r.is_known = 1
                    AND r.id = (SELECT receiver_id FROM payouts WHERE id = $1)
                """, [.int(id)], Self.receiver)
        }
    }

    static let receiverColumns = """
        SELECT \(ReceiverState.selected), r.origin, (
                SELECT count(*) FROM deliveries d WHERE d.merchant_id = r.merchant_id
                    AND d.queue_id IN (r.id * 4, r.id * 4 + 1, r.id * 4 + 2))
        FROM receivers r
        """

    static func receiver(_ row: any SQLRow) -> Receiver {
        let state = ReceiverState(row)
        return Receiver(
            id: state.id, merchantID: state.merchantID, origin: row.text(ReceiverState.selectedCount),
            health: state.health, since: state.since, waiting: row.int(ReceiverState.selectedCount + 1))
    }
}
