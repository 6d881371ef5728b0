import ReenvioModel

/// Decides whether the rest of a job follows its canary (`docs/contract.md` 13.14).
struct ResendCanary {
    private static let failedProbes = 2

    private let resend: RunningResend
    private let now: Timestamp

    init(_ resend: RunningResend, now: Timestamp) {
        self.resend = resend
        self.now = now
    }

    /// Nil while it is undecided.
    func decide(in db: any SQLConnection) throws -> ResendStep? {
        switch try canary(in: db).verdict {
        case .undecided: return nil
        case .failed(let reason):
            try touch(in: db)
            try failFollowers(reason, in: db)
            return ended(try EndResend(.failed, reason: reason).run(id: resend.id, in: db))
        case .passed:
            try touch(in: db)
            guard resend.queued + resend.failed == resend.total else {
                return ResendStep(progress: .advanced, resendID: resend.id)
            }
            return ended(try EndResend(.completed).run(id: resend.id, in: db))
        }
    }

    /// The later windows of its merchant in a batch would try the same receivers: they fail with this one.
    private func failFollowers(_ reason: String, in db: any SQLConnection) throws {
        try db.run(
            """
            UPDATE resends SET state = 'failed', ended = 'failed', reason = $3, ended_at = $4, updated_at = $4
            WHERE merchant_id = $1 AND state = 'processing' AND id > $2
                AND batch_id = (SELECT f.batch_id FROM resends f WHERE f.id = $2)
            """, [.int(resend.merchantID), .int(resend.id), .text(reason), .time(now)])
    }

    private func ended(_ state: Resend.State) -> ResendStep {
        ResendStep(progress: .ended(state), resendID: resend.id)
    }

    private func touch(in db: any SQLConnection) throws {
        try db.run(
            """
            UPDATE resends SET canary_passed = 1, updated_at = CASE WHEN updated_at < $2 THEN $2 ELSE updated_at END
            WHERE id = $1
            """, [.int(resend.id), .time(now)])
    }

    /// As many deliveries are open as there are canaries at the most, so they may be counted.
    private func canary(in db: any SQLConnection) throws -> Canary {
        let outcome = try Store.outcome(of: resend.id, in: db)
        var canary = Canary(
            queued: resend.queued, acknowledged: outcome?.delivered ?? 0, undelivered: outcome?.undelivered ?? 0,
            skipped: outcome?.skipped ?? 0, failedTwice: 0, failedBehindBreaker: 0,
            untriedBehindBreaker: 0)
        try db.query(
            """
            SELECT d.attempts - CASE WHEN d.claim_token IS NULL THEN 0 ELSE 1 END, d.queue_id
            FROM \(EndedDeliveries.chosen)
            WHERE i.merchant_id = $1 AND i.resend_id = $2 AND i.payout_id IS NOT NULL ORDER BY i.payout_id
            """, [.int(resend.merchantID), .int(resend.id)]
        ) { row in
            let failures = row.int(0)
            if failures >= 2 {
                canary.failedTwice += 1
            } else if let queue = QueueID(raw: row.int(1)), try isHeldBack(queue.receiverID, in: db) {
                if failures == 0 { canary.untriedBehindBreaker += 1 } else { canary.failedBehindBreaker += 1 }
            }
        }
        return canary
    }

    /// Its breaker is open, and it failed twice more since.
    private func isHeldBack(_ receiverID: Int64, in db: any SQLConnection) throws -> Bool {
        try db.first(
            """
            SELECT 1 FROM receivers
            WHERE id = $1 AND broken_at IS NOT NULL AND paused_at IS NULL AND failed_probes >= $2
            """, [.int(receiverID), .int(Self.failedProbes)]
        ) { $0.int(0) } != nil
    }
}
