package import ReenvioModel

/// What a dry run judges receivers by.
package struct ExplainRules: Sendable {
    /// Today's address rules: what they refuse would fail.
    package var policy: AddressPolicy
    /// The wait before first attempts (`REENVIO_RETRY_SCHEDULE`).
    package var firstWait: Duration
    /// Engine time.
    package var now: Timestamp

    package init(policy: AddressPolicy, firstWait: Duration, now: Timestamp) {
        self.policy = policy
        self.firstWait = firstWait
        self.now = now
    }
}

extension Store {
    /// A dry run that says what it would send where, what would fail, and what it would leave out (`docs/contract.md`
    /// 13.7), in one snapshot. Like a dry run it adds up counters; its cost grows with the receivers of the window,
    /// with what changed in the minutes at its edges where those are not whole, with the payouts in it without
    /// a webhook, and with the merchant's erased payouts.
    package func explain(_ request: ResendRequest, _ rules: ExplainRules) async throws -> ResendExplanation {
        try await engine.read { db in try ExplainResend(request, rules).run(in: db) }
    }
}

private struct ExplainResend {
    private let request: ResendRequest
    private let rules: ExplainRules
    private let wanted: Set<Int64>

    private struct Found {
        var origin: String
        var total: Int64
        var erased: Int64
        var state: ReceiverState
        var isRefused: Bool
    }

    init(_ request: ResendRequest, _ rules: ExplainRules) {
        self.request = request
        self.rules = rules
        wanted = Set(request.statuses)
    }

    func run(in db: any SQLConnection) throws -> ResendExplanation {
        let matching = try CountMatching.byStatus(of: request, in: db)
        let byStatus = matching.filter { wanted.contains($0.key) && $0.value > 0 }.sorted { $0.key < $1.key }
        let total = byStatus.reduce(0) { $0 + $1.value }
        let receivers = try receivers(in: db)
        let named = receivers.prefix(Limits.explainedReceivers).map { receiver in
            ResendExplanation.ReceiverShare(
                origin: receiver.origin, total: receiver.total, health: receiver.state.health,
                isRefused: receiver.isRefused)
        }
        return ResendExplanation(
            total: total, byStatus: byStatus.map { ResendExplanation.StatusShare(id: $0.key, total: $0.value) },
            byReceiver: named, others: total - named.reduce(0) { $0 + $1.total },
            wouldFail: receivers.reduce(into: ResendExplanation.WouldFail()) { sum, receiver in
                sum.erased += receiver.erased
                if receiver.isRefused { sum.addressForbidden += receiver.total - receiver.erased }
            },
            estimate: try estimate(receivers, in: db), notMatched: try notMatched(matching, in: db))
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

    /// Those that matched payouts go to, the ones with most first.
    private func receivers(in db: any SQLConnection) throws -> [Found] {
        let totals = try totalsByReceiver(in: db).filter { $0.value > 0 }
        let erased = try erasedByReceiver(in: db)
        var rows = SQLRows([("id", .int)])
        for id in totals.keys.sorted() { rows.append([.int(id)]) }
        var found: [Found] = []
        try db.batch(
            """
            SELECT r.id, r.merchant_id, r.paused_at, r.broken_at, r.failed_probes, r.acked_probes, r.resume_at,
                r.is_slow, r.health_since, r.probe_at, r.origin
            FROM receivers r, {rows} WHERE r.id = rows.id
            """, rows
        ) { row in
            let (state, origin) = (ReceiverState(row), row.text(10))
            found.append(
                Found(
                    origin: origin, total: totals[state.id] ?? 0, erased: erased[state.id] ?? 0, state: state,
                    isRefused: (try? ReceiverURL(parsing: origin + "/", policy: rules.policy)) == nil))
        }
        return found.sorted { ($1.total, $0.state.id) < ($0.total, $1.state.id) }
    }

    /// Matched payouts whose people's data was destroyed.
    private func erasedByReceiver(in db: any SQLConnection) throws -> [Int64: Int64] {
        var erased: [Int64: Int64] = [:]
        try db.query(
            Self.erased,
            [
                .int(request.merchantID), .int(request.window.startSeconds), .int(request.window.endSeconds),
                .bool(request.options.onlyUnacknowledged),
            ]
        ) { row in
            if wanted.contains(row.int(1)) { erased[row.int(0), default: 0] += row.int(2) }
        }
        return erased
    }

    // MARK: How long it takes

    private func estimate(_ receivers: [Found], in db: any SQLConnection) throws -> ResendEstimate {
        let latencies = try latencies(in: db)
        let shares = receivers.filter { !$0.isRefused }.map { receiver in
            ResendEstimate.Share(
                origin: receiver.origin, total: receiver.total - receiver.erased, health: receiver.state.health,
                latency: latencies.byReceiver[receiver.state.id] ?? latencies.all,
                hold: receiver.state.heldUntil.flatMap { $0 > rules.now ? $0 - rules.now : nil })
        }
        return ResendEstimate(
            maxPerSecond: request.options.maxPerSecond, firstWait: rules.firstWait, shares)
    }

    /// The means of this merchant's last attempts, by receiver where the payouts say which.
    private func latencies(in db: any SQLConnection) throws -> (all: Duration?, byReceiver: [Int64: Duration]) {
        var sums: [Int64: (milliseconds: Int64, count: Int64)] = [:]
        try db.query(Self.lastAttempts, [.int(request.merchantID), .int(Limits.attemptsLookedBackAt)]) { row in
            let id = row.intIfPresent(0) ?? 0
            let before = sums[id] ?? (0, 0)
            sums[id] = (before.milliseconds + row.int(1), before.count + 1)
        }
        let count = sums.values.reduce(0) { $0 + $1.count }
        let all = count == 0 ? nil : Duration.milliseconds(sums.values.reduce(0) { $0 + $1.milliseconds } / count)
        return (all, sums.filter { $0.key != 0 }.mapValues { .milliseconds($0.milliseconds / $0.count) })
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

    /// Erased payouts are few, and have an index of their own.
    private static let erased = """
        SELECT p.receiver_id, c.status_id, count(*) FROM payouts p
        JOIN status_changes c ON c.merchant_id = p.merchant_id AND c.seq = p.latest_seq
        JOIN notifications n ON n.id = c.notification_id
        WHERE p.merchant_id = $1 AND p.erased_at IS NOT NULL AND c.changed_s BETWEEN $2 AND $3
            AND (CAST($4 AS BIGINT) = 0 OR n.acked_at IS NULL)
        GROUP BY p.receiver_id, c.status_id
        """

    private static let lastAttempts = """
        SELECT p.receiver_id, a.duration_ms FROM (
            SELECT notification_id, duration_ms FROM attempts WHERE merchant_id = $1
            ORDER BY merchant_id DESC, delivery_id DESC LIMIT $2) AS a
        LEFT JOIN notifications n ON n.id = a.notification_id
        LEFT JOIN payouts p ON p.id = n.payout_id
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
