package import ReenvioModel

/// How many payouts a window matches now (`docs/contract.md` 4.2): whole minutes from the counters, the two edges from
/// the index (`docs/architecture.md`, rule 3). The cost does not depend on how many match inside the whole minutes.
enum CountMatching {
    static func run(
        merchantID: Int64, window: ResendWindow, statuses: [Int64], in db: any SQLConnection
    ) throws -> Int64 {
        let parts = window.parts
        var total: Int64 = 0
        if let minutes = parts.minutes {
            for status in statuses {
                total +=
                    try db.first(
                        """
                        SELECT CAST(coalesce(sum(current), 0) AS BIGINT) FROM minute_counts
                        WHERE merchant_id = $1 AND status_id = $2 AND minute BETWEEN $3 AND $4
                        """,
                        [.int(merchantID), .int(status), .int(minutes.lowerBound), .int(minutes.upperBound)]
                    ) { $0.int(0) } ?? 0
            }
        }
        let wanted = Set(statuses)
        for edge in parts.edges {
            try db.query(
                """
                SELECT status_id, count(*) FROM status_changes
                WHERE merchant_id = $1 AND notification_id IS NOT NULL AND changed_s BETWEEN $2 AND $3
                    AND superseded_seq IS NULL
                GROUP BY status_id
                """,
                [.int(merchantID), .int(edge.lowerBound), .int(edge.upperBound)]
            ) { row in
                if wanted.contains(row.int(0)) { total += row.int(1) }
            }
        }
        return total
    }
}

extension Store {
    /// A dry run: counts in one snapshot, stores nothing, neither takes nor respects the lock (`docs/contract.md` 4.4).
    package func countMatching(_ request: ResendRequest) async throws -> Int64 {
        try await engine.read { db in
            try CountMatching.run(
                merchantID: request.merchantID, window: request.window, statuses: request.statuses, in: db
            )
        }
    }
}
