package import ReenvioModel

/// How many payouts a window matches now (`docs/contract.md` 4.2): whole minutes from one table of counters, seconds
/// at both edges from another (`docs/architecture.md`, rule 3). The cost does not depend on how many match.
enum CountMatching {
    static func total(of request: ResendRequest, in db: any SQLConnection) throws -> Int64 {
        let wanted = Set(request.statuses)
        return try byStatus(of: request, in: db).reduce(0) { $0 + (wanted.contains($1.key) ? $1.value : 0) }
    }

    /// Of every notifiable status, asked for or not.
    static func byStatus(
        of request: ResendRequest, unacknowledged: Bool? = nil, in db: any SQLConnection
    ) throws -> [Int64: Int64] {
        let unacknowledged = unacknowledged ?? request.options.onlyUnacknowledged
        let parts = request.window.parts
        var totals: [Int64: Int64] = [:]
        if let minutes = parts.minutes {
            for status in request.product.notifiable {
                totals[status] = try db.first(
                    unacknowledged ? minutesUnacknowledged : minutesCurrent,
                    [
                        .int(request.merchantID), .int(status), .int(minutes.lowerBound), .int(minutes.upperBound),
                    ]
                ) { $0.int(0) }
            }
        }
        for edge in parts.edges {
            try db.query(
                unacknowledged ? edgeUnacknowledged : edgeCurrent,
                [.int(request.merchantID), .int(edge.lowerBound), .int(edge.upperBound)]
            ) { totals[$0.int(0), default: 0] += $0.int(1) }
        }
        return totals
    }

    private static let minutesCurrent = minutes("current")
    private static let minutesUnacknowledged = minutes("unacked")

    private static func minutes(_ column: String) -> String {
        """
        SELECT CAST(coalesce(sum(\(column)), 0) AS BIGINT) FROM minute_counts
        WHERE merchant_id = $1 AND status_id = $2 AND minute BETWEEN $3 AND $4
        """
    }

    private static let edgeCurrent = edge("current")
    private static let edgeUnacknowledged = edge("unacked")

    private static func edge(_ column: String) -> String {
        """
        SELECT status_id, CAST(sum(\(column)) AS BIGINT) FROM second_counts
        WHERE merchant_id = $1 AND second BETWEEN $2 AND $3 GROUP BY status_id
        """
    }
}

extension Store {
    /// A dry run: counts in one snapshot, stores nothing, neither takes nor respects the lock (`docs/contract.md` 4.4).
    package func countMatching(_ request: ResendRequest) async throws -> Int64 {
        try await engine.read { db in try CountMatching.total(of: request, in: db) }
    }
}
