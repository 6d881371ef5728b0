package import ReenvioModel

/// What became of a request to cancel a job (`docs/contract.md` 13.2).
package enum ResendCanceled: Sendable, Equatable {
    case canceled(Resend)
    case notFound
    /// The job is another account's.
    case foreign
    /// Nothing of it is pending any more.
    case alreadyEnded
}

extension Store {
    /// Stops a job: no further chunk, and what is pending counts as skipped from this commit on, though its rows are
    /// still to be swept. What was sent stays. A completed job keeps its status.
    package func cancelResend(
        jobID: String, accountID: Int64?, by requester: Requester, now: Timestamp
    ) async throws -> ResendCanceled {
        let (result, told) = try await engine.write(.intake) { db -> (ResendCanceled, WrittenNotices) in
            let result = try Self.cancel(jobID: jobID, accountID, requester, now: now, in: db)
            guard case .canceled(let job) = result else { return (result, WrittenNotices()) }
            return (result, try tell([.ended(job, as: "canceled", at: now)], in: db))
        }
        announce(told)
        return result
    }

    private static func cancel(
        jobID: String, _ accountID: Int64?, _ requester: Requester, now: Timestamp, in db: any SQLConnection
    ) throws -> ResendCanceled {
        let found = try db.first(
            // Compared as no index has it: PostgreSQL would walk through all jobs as long as there are few.
            "\(resendColumns) WHERE public_id = $1 AND coalesce(kind, '') = 'v2-payout'", [.text(jobID)], resend)
        guard let job = found else { return .notFound }
        if let accountID, accountID != job.accountID { return .foreign }
        try ResendTallies.lock(
            CollectionOfOne(ResendTallies.Key(merchantID: job.merchantID, resendID: job.id)), in: db)
        let current = try db.first(
            "SELECT ended, state FROM resends WHERE id = $1 FOR UPDATE", [.int(job.id)]
        ) { (ended: $0.textIfPresent(0), isRunning: $0.text(1) == Resend.State.processing.rawValue) }
        let pending = try outcome(of: job.id, in: db)?.pending ?? 0
        guard let current, current.ended != "canceled", current.isRunning || pending > 0 else {
            return .alreadyEnded
        }
        try CanceledJobs.mark(job.id, merchantID: job.merchantID, pending: pending, now: now, in: db)
        let entry = Audit.Entry(
            at: now, accountID: job.accountID, by: requester, action: "resend.cancel", target: "job \(jobID)")
        try Audit.write(entry, in: db)
        let canceled = try db.first("\(resendColumns) WHERE id = $1", [.int(job.id)], resend)
        return canceled.map { .canceled($0) } ?? .notFound
    }
}

/// What became of a request to cancel a v3 log (`docs/contract.md` 13.18).
package enum LogCanceled: Sendable, Equatable {
    case canceled(ResendLogDetails)
    /// There is none, or the caller does not see it.
    case notFound
    case alreadyEnded
}

extension Store {
    /// Stops a log, as `cancelResend` stops a job. The user or the account that it must belong to; nil is every one.
    package func cancelLog(
        id: Int64, userID: Int64? = nil, accountID: Int64? = nil, by requester: Requester, now: Timestamp
    ) async throws -> LogCanceled {
        try await engine.write(.intake) { db in
            // Locks the row before it reads the tallies, in the same order as the recorder of log outcomes.
            try EndLogs.lock(CollectionOfOne(id), in: db)
            guard let log = try Self.logDetails(id: id, userID: userID, accountID: accountID, in: db) else {
                return .notFound
            }
            guard log.state == .processing || log.state == .awaiting else { return .alreadyEnded }
            try CanceledJobs.mark(
                id, merchantID: log.merchantID, pending: log.outcome.pending, now: max(now, log.log.createdAt), in: db)
            let entry = Audit.Entry(
                at: now, accountID: log.accountID, by: requester, action: "resend.cancel", target: "log \(id)")
            try Audit.write(entry, in: db)
            let canceled = try Self.logDetails(id: id, in: db)
            return canceled.map { .canceled($0) } ?? .notFound
        }
    }
}

extension Store {
    /// Ends deliveries that canceled resends left behind; what is under way ends with its result. Bounded; `now` is
    /// wall time, `engineNow` engine time.
    /// - Returns: how many were ended, and whether some are left.
    package func sweepCanceled(now: Timestamp, engineNow: Timestamp) async throws -> (ended: Int, hasMore: Bool) {
        try await engine.write(.janitor) { db in
            let jobs = try db.all(
                """
                SELECT merchant_id, id, log_status IS NOT NULL FROM resends WHERE sweep_pending = 1
                ORDER BY id LIMIT $1
                """, [.int(Limits.registrationsPerSweep)]
            ) { (merchantID: $0.int(0), id: $0.int(1), open: OpenOfResend(isLog: $0.bool(2))) }
            var ended = EndedDeliveries(now: now, counts: false)
            var hasMore = false
            for job in jobs {
                let room = Self.sweepMax - ended.count
                guard room > 0 else {
                    hasMore = true
                    break
                }
                try db.query(
                    CanceledJobs.load + """
                         (
                            SELECT id FROM deliveries
                            WHERE merchant_id = $1 AND resend_id = $2 AND \(job.open.condition)
                            ORDER BY \(job.open.order) LIMIT $4) AS i
                        LEFT JOIN deliveries d ON d.merchant_id = $1 AND d.id = i.id
                        LEFT JOIN payouts p ON p.id = d.payout_id
                        WHERE d.claim_token IS NULL OR d.due_at <= $3 LIMIT $5
                        """,
                    [
                        .int(job.merchantID), .int(job.id), .time(engineNow),
                        .int(room + Limits.attemptsInFlightPerNode), .int(room),
                    ]
                ) { ended.add($0, end: .skipped, reason: .canceled) }
            }
            try ended.save(in: db)
            for job in jobs {
                let isLeft = try db.first(
                    """
                    SELECT 1 FROM deliveries
                    WHERE merchant_id = $1 AND resend_id = $2 AND \(job.open.condition)
                    ORDER BY \(job.open.order) LIMIT 1
                    """,
                    [.int(job.merchantID), .int(job.id)]
                ) { $0.int(0) }
                if isLeft == nil {
                    try db.run("UPDATE resends SET sweep_pending = 0 WHERE id = $1", [.int(job.id)])
                } else {
                    hasMore = true
                }
            }
            return (ended.count, hasMore)
        }
    }
}

/// Which open deliveries are a resend's: each kind has an index of its own.
struct OpenOfResend {
    let isLog: Bool

    /// On a column of `deliveries`.
    var condition: String { isLog ? "event_id IS NOT NULL" : "payout_id IS NOT NULL" }
    var order: String { isLog ? "event_id" : "payout_id" }
}

/// Resends that were canceled: what ends for them later is skipped, whatever was answered, and is counted already.
enum CanceledJobs {
    /// Ends a resend whose row and tallies are locked: what is pending counts as skipped from this commit on. A job
    /// that had completed keeps its status.
    static func mark(
        _ id: Int64, merchantID: Int64, pending: Int64, now: Timestamp, in db: any SQLConnection
    ) throws {
        try db.run(
            """
            UPDATE resends SET ended = 'canceled', sweep_pending = 1,
                updated_at = CASE WHEN updated_at < $2 THEN $2 ELSE updated_at END,
                reason = CASE WHEN state IN ('processing', 'awaiting') THEN 'Canceled.' ELSE reason END,
                ended_at = coalesce(ended_at, CASE WHEN updated_at < $2 THEN $2 ELSE updated_at END),
                state = CASE WHEN state IN ('processing', 'awaiting') THEN 'failed' ELSE state END,
                log_status = CASE WHEN log_status IS NULL THEN NULL ELSE 'FAILED' END
            WHERE id = $1
            """, [.int(id), .time(now)])
        var tallies = ResendTallies()
        tallies.skip(pending, merchantID: merchantID, resendID: id)
        try tallies.save(now: now, in: db)
    }

    static func among(_ resendIDs: Set<Int64>, in db: any SQLConnection) throws -> Set<Int64> {
        if resendIDs.isEmpty { return [] }
        var rows = SQLRows([("id", .int)])
        for id in resendIDs.sorted() { rows.append([.int(id)]) }
        var canceled: Set<Int64> = []
        try db.batch("SELECT r.id FROM resends r, {rows} WHERE r.id = rows.id AND r.ended = 'canceled'", rows) {
            canceled.insert($0.int(0))
        }
        return canceled
    }

    /// Those whose deliveries are not all swept yet: their attempts must not begin.
    static func sweeping(in db: any SQLConnection) throws -> [Int64] {
        try db.all("SELECT id FROM resends WHERE sweep_pending = 1") { $0.int(0) }
    }

    /// The columns that `EndedDeliveries.add` reads, of a resend's deliveries called `d`.
    static let load = """
        SELECT d.merchant_id, d.id, coalesce(d.payout_id, d.event_id), d.queue_id,
            coalesce(d.notification_id, p.latest_notification_id), d.resend_id, d.registration_id, d.attempts,
            d.created_at
        FROM
        """
}
