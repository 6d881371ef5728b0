package import ReenvioModel

/// What an account's overview shows of the store. Each figure is bounded by `Limits.countedForPages`.
package struct AccountOverview: Sendable {
    /// Open deliveries by lane, and whether there are more than were counted.
    package var backlog: [Lane: Int64] = [:]
    package var isPartial = false
    /// Engine time at which the delivery that has been due for longest came due; paused and broken receivers left out.
    package var oldestDue: Timestamp?
    /// Current changes with a notification, by minute.
    package var accepted: [Int64: Int64] = [:]
}

extension Store {
    package static let sickMax = 20

    /// Figures of one account's merchants, or of those that the caller may act for, in one snapshot; `since` is the
    /// first minute that counts.
    package func accountOverview(
        _ accountID: Int64, merchants: Set<Int64>? = nil, since: Int64, now: Timestamp
    ) async throws -> AccountOverview {
        try await engine.read { db in
            var overview = AccountOverview()
            var left = Limits.countedForPages
            for merchantID in try merchants?.sorted() ?? Self.merchantIDs(of: accountID, in: db) {
                try db.query(
                    """
                    SELECT part.lane, count(*) FROM (
                        SELECT queue_id % 4 AS lane FROM deliveries WHERE merchant_id = $1 LIMIT $2) AS part
                    GROUP BY part.lane
                    """, [.int(merchantID), .int(left + 1)]
                ) { row in
                    guard let lane = Lane(rawValue: Int(row.int(0))) else { return }
                    overview.backlog[lane, default: 0] += row.int(1)
                    left -= row.int(1)
                }
                if left < 0 { overview.isPartial = true }
                left = max(0, left)
                let due = try db.first(
                    "SELECT min(next_due) FROM queues WHERE merchant_id = $1 AND parked = 0", [.int(merchantID)]
                ) { $0.timeIfPresent(0) }
                if let due = due ?? nil, due <= now { overview.oldestDue = min(overview.oldestDue ?? due, due) }
                for status in PayoutStatus.allCases where status.isNotifiable {
                    try db.query(
                        """
                        SELECT minute, current FROM minute_counts
                        WHERE merchant_id = $1 AND status_id = $2 AND minute >= $3
                        """, [.int(merchantID), .int(status.id), .int(since)]
                    ) { overview.accepted[$0.int(0), default: 0] += $0.int(1) }
                }
            }
            return overview
        }
    }

    /// Receivers that are paused, broken or slow, those of longest standing first.
    package func sickReceivers(accountID: Int64?, merchants: Set<Int64>? = nil) async throws -> [Receiver] {
        try await engine.read { db in
            try db.all(
                """
                \(Self.boundedReceiverColumns) JOIN merchants m ON m.id = r.merchant_id
                WHERE (r.paused_at IS NOT NULL OR r.broken_at IS NOT NULL OR r.is_slow = 1) AND r.is_known = 1
                    AND (CAST($1 AS BIGINT) IS NULL OR m.account_id = $1)
                    \(merchants == nil ? "" : "AND \(Self.isAmong("r.merchant_id", 3))")
                ORDER BY r.health_since LIMIT $2
                """,
                [.optional(accountID), .int(Self.sickMax)] + (merchants.map { [Self.parameter($0)] } ?? []),
                Self.receiver)
        }
    }

    /// A receiver for its buttons; nil for one that the caller does not see.
    package func receiver(id: Int64, accountID: Int64?) async throws -> Receiver? {
        try await engine.read { db in
            try db.first(
                """
                \(Self.boundedReceiverColumns) JOIN merchants m ON m.id = r.merchant_id
                WHERE r.id = $1 AND r.is_known = 1 AND (CAST($2 AS BIGINT) IS NULL OR m.account_id = $2)
                """, [.int(id), .optional(accountID)], Self.receiver)
        }
    }

    static let boundedReceiverColumns = """
        SELECT \(ReceiverState.selected), r.origin, (
                SELECT count(*) FROM (
                    SELECT 1 FROM deliveries d WHERE d.merchant_id = r.merchant_id
                        AND d.queue_id IN (r.id * 4, r.id * 4 + 1, r.id * 4 + 2) LIMIT 1001) AS few)
        FROM receivers r
        """
}
