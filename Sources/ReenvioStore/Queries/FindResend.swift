package import ReenvioModel

extension Store {
    /// A v2 job by its public id, with progress, in one snapshot.
    package func resend(jobID: String) async throws -> Resend? {
        try await engine.lookup { db in
            try db.first(
                "\(Self.resendColumns) WHERE public_id = $1 AND kind = 'v2-payout'", [.text(jobID)], Self.resend)
        }
    }

    package func resend(id: Int64) async throws -> Resend? {
        try await engine.lookup { db in try db.first("\(Self.resendColumns) WHERE id = $1", [.int(id)], Self.resend) }
    }

    static let resendColumns = """
        SELECT id, public_id, merchant_id, account_id, state, window_start, window_end, total, queued, failed,
            reason, requested_by, started_at, updated_at, ended_at
        FROM resends
        """

    static func resend(_ row: any SQLRow) -> Resend {
        Resend(
            id: row.int(0), jobID: row.text(1), merchantID: row.int(2), accountID: row.int(3), kind: .v2Payout,
            state: Resend.State(rawValue: row.text(4)) ?? .failed,
            window: ResendWindow(startSeconds: row.int(5), endSeconds: row.int(6)), total: row.int(7),
            queued: row.int(8), failed: row.int(9), reason: row.textIfPresent(10), requestedBy: row.text(11),
            startedAt: row.time(12), updatedAt: row.time(13), endedAt: row.timeIfPresent(14)
        )
    }

    /// A v2 job with its outcome, in one snapshot (`docs/contract.md` 13.1).
    package func resendDetails(jobID: String) async throws -> ResendDetails? {
        try await engine.read { db in
            let found = try db.first(
                "\(Self.resendColumns) WHERE public_id = $1 AND kind = 'v2-payout'", [.text(jobID)], Self.resend)
            guard let job = found, var details = try Self.details(of: [job], in: db).first else { return nil }
            let isWaiting =
                try details.outcome.pending > 0
                && Self.waitsForPause(merchantID: job.merchantID, job.id, OpenOfResend(isLog: false), in: db)
            details.waitingOn = isWaiting ? "receiver_paused" : nil
            return details
        }
    }

    /// The same of a page of jobs, with one look at their tallies.
    static func details(of jobs: [Resend], in db: any SQLConnection) throws -> [ResendDetails] {
        let ends = try ends(of: jobs.map(\.id), in: db)
        return jobs.compactMap { job in
            ends[job.id].map { ResendDetails(resend: job, outcome: $0.outcome, ended: $0.ended) }
        }
    }

    /// What resends came to, by id.
    static func ends(
        of ids: [Int64], in db: any SQLConnection
    ) throws -> [Int64: (outcome: ResendOutcome, ended: String?)] {
        var rows = SQLRows([("id", .int)])
        for id in ids { rows.append([.int(id)]) }
        var found: [Int64: (outcome: ResendOutcome, ended: String?)] = [:]
        try db.batch(
            """
            SELECT r.id, r.ended, r.queued, CAST(coalesce(sum(t.delivered), 0) AS BIGINT),
                CAST(coalesce(sum(t.undelivered), 0) AS BIGINT), CAST(coalesce(sum(t.skipped), 0) AS BIGINT)
            FROM resends r
            LEFT JOIN resend_tallies t ON t.merchant_id = r.merchant_id AND t.resend_id = r.id, {rows}
            WHERE r.id = rows.id GROUP BY r.id, r.ended, r.queued
            """, rows
        ) { row in
            let outcome = ResendOutcome(
                delivered: row.int(3), undelivered: row.int(4),
                pending: row.int(2) - row.int(3) - row.int(4) - row.int(5), skipped: row.int(5))
            found[row.int(0)] = (outcome, row.textIfPresent(1))
        }
        return found
    }

    /// What became of a resend's deliveries: the four always add up to `queued` (`docs/contract.md` 13.1).
    package func resendOutcome(id: Int64) async throws -> ResendOutcome? {
        try await engine.read { db in try Self.outcome(of: id, in: db) }
    }

    static func outcome(of id: Int64, in db: any SQLConnection) throws -> ResendOutcome? {
        try db.first(
            """
            SELECT r.queued, CAST(coalesce(sum(t.delivered), 0) AS BIGINT),
                CAST(coalesce(sum(t.undelivered), 0) AS BIGINT),
                CAST(coalesce(sum(t.skipped), 0) AS BIGINT)
            FROM resends r LEFT JOIN resend_tallies t ON t.merchant_id = r.merchant_id AND t.resend_id = r.id
            WHERE r.id = $1 GROUP BY r.id, r.queued
            """,
            [.int(id)]
        ) { row in
            ResendOutcome(
                delivered: row.int(1), undelivered: row.int(2),
                pending: row.int(0) - row.int(1) - row.int(2) - row.int(3), skipped: row.int(3)
            )
        }
    }

    /// Whether everything pending of a resend waits at paused receivers. No more than `Limits.pendingLookedAt`
    /// deliveries are looked at, however many wait.
    static func waitsForPause(
        merchantID: Int64, _ id: Int64, _ open: OpenOfResend, in db: any SQLConnection
    ) throws -> Bool {
        let queues = try db.all(
            """
            SELECT queue_id FROM deliveries WHERE merchant_id = $1 AND id IN (
                SELECT i.id FROM deliveries i
                WHERE i.merchant_id = $1 AND i.resend_id = $2 AND i.\(open.condition) LIMIT $3)
            """, [.int(merchantID), .int(id), .int(Limits.pendingLookedAt)]
        ) { QueueID(raw: $0.int(0)) }
        let receivers = Set(queues.compactMap { $0?.receiverID })
        let isPaused = try receivers.allSatisfy { id in
            try db.first("SELECT 1 FROM receivers WHERE id = $1 AND paused_at IS NOT NULL", [.int(id)]) {
                $0.int(0)
            } != nil
        }
        guard !receivers.isEmpty, isPaused else { return false }
        return try queues.count < Limits.pendingLookedAt || !isElsewhere(merchantID: merchantID, id, in: db)
    }

    /// Whether something of a resend is at the head of a queue whose receiver is not paused.
    private static func isElsewhere(merchantID: Int64, _ id: Int64, in db: any SQLConnection) throws -> Bool {
        let queues = try db.all(
            """
            SELECT q.id FROM queues q JOIN receivers r ON r.id = q.receiver_id
            WHERE q.merchant_id = $1 AND q.lane = $2 AND r.paused_at IS NULL LIMIT $3
            """, [.int(merchantID), .int(Lane.resend.rawValue), .int(Limits.pendingLookedAt)]
        ) { $0.int(0) }
        return try queues.contains { queue in
            try db.first(
                """
                SELECT 1 FROM (SELECT resend_id FROM deliveries WHERE merchant_id = $1 AND queue_id = $2
                    ORDER BY due_at LIMIT $3) AS head WHERE resend_id = $4
                """, [.int(merchantID), .int(queue), .int(Limits.pendingLookedAt), .int(id)]
            ) { $0.int(0) } != nil
        }
    }
}
