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
            guard let job = found, let outcome = try Self.outcome(of: job.id, in: db) else { return nil }
            let ended = try db.first("SELECT ended FROM resends WHERE id = $1", [.int(job.id)]) { $0.textIfPresent(0) }
            let canOnlyWait = try outcome.pending > 0 && Self.waitsForPause(job, in: db)
            return ResendDetails(
                resend: job, outcome: outcome, ended: ended ?? nil, waitingOn: canOnlyWait ? "receiver_paused" : nil)
        }
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

    /// Whether everything pending of a job waits at paused receivers. No more than so many deliveries are looked at,
    /// however many wait.
    private static func waitsForPause(_ job: Resend, in db: any SQLConnection) throws -> Bool {
        let queues = try db.all(
            """
            SELECT queue_id FROM deliveries WHERE merchant_id = $1 AND id IN (
                SELECT i.id FROM deliveries i
                WHERE i.merchant_id = $1 AND i.resend_id = $2 AND i.payout_id IS NOT NULL LIMIT $3)
            """, [.int(job.merchantID), .int(job.id), .int(Limits.pendingLookedAt)]
        ) { QueueID(raw: $0.int(0)) }
        let receivers = Set(queues.compactMap { $0?.receiverID })
        let isPaused = try receivers.allSatisfy { id in
            try db.first("SELECT 1 FROM receivers WHERE id = $1 AND paused_at IS NOT NULL", [.int(id)]) {
                $0.int(0)
            } != nil
        }
        guard !receivers.isEmpty, isPaused else { return false }
        return try queues.count < Limits.pendingLookedAt || !isElsewhere(job, in: db)
    }

    /// Whether something of a job is at the head of a queue whose receiver is not paused.
    private static func isElsewhere(_ job: Resend, in db: any SQLConnection) throws -> Bool {
        let queues = try db.all(
            """
            SELECT q.id FROM queues q JOIN receivers r ON r.id = q.receiver_id
            WHERE q.merchant_id = $1 AND q.lane = $2 AND r.paused_at IS NULL LIMIT $3
            """, [.int(job.merchantID), .int(Lane.resend.rawValue), .int(Limits.pendingLookedAt)]
        ) { $0.int(0) }
        return try queues.contains { queue in
            try db.first(
                """
                SELECT 1 FROM (SELECT resend_id FROM deliveries WHERE merchant_id = $1 AND queue_id = $2
                    ORDER BY due_at LIMIT $3) AS head WHERE resend_id = $4
                """, [.int(job.merchantID), .int(queue), .int(Limits.pendingLookedAt), .int(job.id)]
            ) { $0.int(0) } != nil
        }
    }
}

/// A job as `include=outcome` shows it (`docs/contract.md` 13.1).
package struct ResendDetails: Sendable, Equatable {
    package var resend: Resend
    package var outcome: ResendOutcome
    /// `completed`, `canceled` or `failed`; nil while it runs.
    package var ended: String?
    /// `receiver_paused` while it can only wait.
    package var waitingOn: String?

    package func writeMembers(into writer: inout JSONWriter) {
        resend.writeState(into: &writer)
        writer.object("outcome") { writer in
            writer.member("delivered", outcome.delivered)
            writer.member("undelivered", outcome.undelivered)
            writer.member("pending", outcome.pending)
            writer.member("skipped", outcome.skipped)
        }
        writer.member("ended", ended)
        writer.member("requested_by", resend.requestedBy)
        if let waitingOn { writer.member("waiting_on", waitingOn) }
    }
}

package struct ResendOutcome: Sendable, Equatable {
    package var delivered: Int64
    package var undelivered: Int64
    package var pending: Int64
    package var skipped: Int64

    package init(delivered: Int64, undelivered: Int64, pending: Int64, skipped: Int64) {
        self.delivered = delivered
        self.undelivered = undelivered
        self.pending = pending
        self.skipped = skipped
    }
}
