package import ReenvioModel

extension Store {
    /// A dry run that says what it would send where, and what it would leave out (`docs/contract.md` 13.7), in one
    /// snapshot. Like a dry run it adds up counters; its cost grows with the receivers of the window, with what changed
    /// in the minutes at its edges where those are not whole, and with the payouts in it that told nobody.
    package func explain(_ request: ResendRequest) async throws -> ResendExplanation {
        try await engine.read { db in try ExplainResend(request).run(in: db) }
    }
}

private struct ExplainResend {
    private let request: ResendRequest
    private let wanted: Set<Int64>

    init(_ request: ResendRequest) {
        self.request = request
        wanted = Set(request.statuses)
    }

    func run(in db: any SQLConnection) throws -> ResendExplanation {
        let matching = try CountMatching.byStatus(of: request, in: db)
        let byStatus = matching.filter { wanted.contains($0.key) && $0.value > 0 }.sorted { $0.key < $1.key }
        let total = byStatus.reduce(0) { $0 + $1.value }
        let byReceiver = try totalsByReceiver(in: db).filter { $0.value > 0 }
            .sorted { ($1.value, $0.key) < ($0.value, $1.key) }
        let named = try byReceiver.prefix(Limits.explainedReceivers).map { try share($0.key, $0.value, in: db) }
        return ResendExplanation(
            total: total, byStatus: byStatus.map { ResendExplanation.StatusShare(id: $0.key, total: $0.value) },
            byReceiver: named, others: total - named.reduce(0) { $0 + $1.total },
            estimatedSeconds: ResendExplanation.estimate(
                total: total, maxPerSecond: request.options.maxPerSecond, busiest: byReceiver.first?.value ?? 0,
                latency: try latency(in: db)),
            notMatched: try notMatched(matching, in: db))
    }

    // MARK: Receivers

    private func totalsByReceiver(in db: any SQLConnection) throws -> [Int64: Int64] {
        let parts = request.window.parts
        let unacknowledged = request.options.onlyUnacknowledged
        var totals: [Int64: Int64] = [:]
        func add(_ row: any SQLRow) {
            if wanted.contains(row.int(1)) { totals[row.int(0), default: 0] += row.int(2) }
        }
        if let minutes = parts.minutes {
            try db.query(
                unacknowledged ? Self.minutesUnacknowledged : Self.minutesCurrent,
                [.int(request.merchantID), .int(minutes.lowerBound), .int(minutes.upperBound)], add)
        }
        for edge in parts.edges {
            try db.query(
                unacknowledged ? Self.edgeUnacknowledged : Self.edgeCurrent,
                [.int(request.merchantID), .int(edge.lowerBound), .int(edge.upperBound)], add)
        }
        return totals
    }

    private func share(
        _ receiverID: Int64, _ total: Int64, in db: any SQLConnection
    ) throws -> ResendExplanation.ReceiverShare {
        let found = try db.first("SELECT origin FROM receivers WHERE id = $1", [.int(receiverID)]) { $0.text(0) }
        let health = try ReceiverState.load(receiverID, in: db)?.health
        return ResendExplanation.ReceiverShare(origin: found ?? "", total: total, health: health ?? .ok)
    }

    /// The mean of this merchant's last attempts.
    private func latency(in db: any SQLConnection) throws -> Duration? {
        let last = try db.all(
            """
            SELECT duration_ms FROM attempts WHERE merchant_id = $1
            ORDER BY merchant_id DESC, delivery_id DESC LIMIT $2
            """, [.int(request.merchantID), .int(Limits.attemptsLookedBackAt)]
        ) { $0.int(0) }
        return last.isEmpty ? nil : .milliseconds(last.reduce(0, +) / Int64(last.count))
    }

    // MARK: What does not match

    private func notMatched(
        _ matching: [Int64: Int64], in db: any SQLConnection
    ) throws -> ResendExplanation.NotMatched {
        var result = ResendExplanation.NotMatched()
        let onlyUnacknowledged = request.options.onlyUnacknowledged
        let notified =
            try onlyUnacknowledged ? CountMatching.byStatus(of: request, unacknowledged: false, in: db) : matching
        result.otherStatus = notified.reduce(0) { $0 + (wanted.contains($1.key) ? 0 : $1.value) }
        if onlyUnacknowledged {
            result.acknowledged = wanted.reduce(0) { $0 + (notified[$1] ?? 0) - (matching[$1] ?? 0) }
        }
        let window: [SQLValue] = [
            .int(request.merchantID), .int(request.window.startSeconds), .int(request.window.endSeconds),
        ]
        // A payout whose status tells somebody and that told nobody has no URL; of the others the payout knows.
        try db.query(Self.silent, window) { row in
            if request.product.notifiable.contains(row.int(0)) { result.noURL += row.int(1) }
        }
        let silent = PayoutStatus.allCases.map(\.id).filter { !request.product.notifiable.contains($0) }
        for status in silent {
            try db.query(Self.silentWithURL, window + [.int(status)]) { row in
                result.noURL += row.int(1)
                result.notNotifiableNow += row.int(0)
            }
        }
        return result
    }

    // MARK: SQL

    private static let minutesCurrent = minutes("current")
    private static let minutesUnacknowledged = minutes("unacked")

    private static func minutes(_ column: String) -> String {
        """
        SELECT receiver_id, status_id, CAST(sum(\(column)) AS BIGINT) FROM receiver_counts
        WHERE merchant_id = $1 AND minute BETWEEN $2 AND $3 GROUP BY receiver_id, status_id
        """
    }

    private static let edgeCurrent = """
        SELECT p.receiver_id, c.status_id, count(*) FROM status_changes c JOIN payouts p ON p.id = c.payout_id
        WHERE c.merchant_id = $1 AND c.notification_id IS NOT NULL AND c.changed_s BETWEEN $2 AND $3
            AND c.superseded_seq IS NULL
        GROUP BY p.receiver_id, c.status_id
        """

    private static let edgeUnacknowledged = """
        SELECT p.receiver_id, c.status_id, count(*) FROM status_changes c
        JOIN payouts p ON p.id = c.payout_id
        JOIN notifications n ON n.id = c.notification_id
        WHERE c.merchant_id = $1 AND c.notification_id IS NOT NULL AND c.changed_s BETWEEN $2 AND $3
            AND c.superseded_seq IS NULL AND n.acked_at IS NULL
        GROUP BY p.receiver_id, c.status_id
        """

    private static let silent = """
        SELECT status_id, count(*) FROM status_changes
        WHERE merchant_id = $1 AND notification_id IS NULL AND superseded_seq IS NULL AND changed_s BETWEEN $2 AND $3
        GROUP BY status_id
        """

    private static let silentWithURL = """
        SELECT coalesce(sum(CASE WHEN p.notification_url IS NULL THEN 0 ELSE 1 END), 0),
            coalesce(sum(CASE WHEN p.notification_url IS NULL THEN 1 ELSE 0 END), 0)
        FROM status_changes c JOIN payouts p ON p.id = c.payout_id
        WHERE c.merchant_id = $1 AND c.notification_id IS NULL AND c.superseded_seq IS NULL
            AND c.changed_s BETWEEN $2 AND $3 AND c.status_id = $4
        """
}
