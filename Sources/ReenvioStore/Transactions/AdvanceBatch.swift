package import ReenvioModel

/// The next thing to do for running batches: the jobs of one merchant, or the end of a batch.
package struct BatchTurn: Sendable, Equatable {
    var batchID: Int64
    /// Nil: every merchant has had its turn, and no job runs.
    var merchantID: Int64?
    /// Windows of the range: the most job ids that are needed.
    package var windows: Int
}

package enum BatchStep: Sendable, Equatable {
    /// So many jobs of one merchant were made.
    case opened(jobs: Int)
    /// Another job holds the lock of one of them; other merchants come first.
    case waiting
    case ended
    /// Another node was faster, or it was canceled.
    case nothing
}

extension Store {
    /// What to do next for running batches; nil while there are none, or all of them wait for their jobs.
    package func nextBatchTurn() async throws -> BatchTurn? {
        try await engine.lookup { db in
            let running = try db.all(
                """
                SELECT id, range_start, range_end FROM resend_batches WHERE state = 'processing' ORDER BY id LIMIT $1
                """, [.int(Limits.batchesLookedAt)]
            ) { (id: $0.int(0), range: ResendWindow(startSeconds: $0.int(1), endSeconds: $0.int(2))) }
            for batch in running {
                let busy = try Self.busyMerchants(of: batch.id, in: db)
                guard busy < Limits.batchMerchantsAtOnce else { continue }
                let waiting = try db.first(
                    """
                    SELECT merchant_id FROM resend_batch_merchants WHERE batch_id = $1 AND opened_at IS NULL
                    ORDER BY turn, merchant_id LIMIT 1
                    """, [.int(batch.id)]
                ) { $0.int(0) }
                if waiting == nil, busy > 0 { continue }
                return BatchTurn(batchID: batch.id, merchantID: waiting, windows: batch.range.split.count)
            }
            return nil
        }
    }

    /// Merchants of a batch that have running jobs.
    private static func busyMerchants(of batchID: Int64, in db: any SQLConnection) throws -> Int64 {
        try db.first(
            "SELECT count(DISTINCT merchant_id) FROM resends WHERE batch_id = $1 AND state = 'processing'",
            [.int(batchID)]
        ) { $0.int(0) } ?? 0
    }

    /// Takes a turn in one commit. All jobs of a merchant are made at the same number of its clock: a payout that
    /// changes meanwhile is in exactly one of them (`docs/architecture.md`, rule 3).
    /// - Parameter jobIDs: as many new ones as the turn has windows.
    package func take(_ turn: BatchTurn, jobIDs: [String], now: Timestamp) async throws -> BatchStep {
        let step = try await engine.write(.chunks) { db in
            guard let merchantID = turn.merchantID else { return try Self.endBatch(turn.batchID, now: now, in: db) }
            var clocks = try MerchantClocks(locking: [merchantID], in: db)
            guard let batch = try OpenBatch(turn.batchID, in: db), try batch.isWaiting(merchantID, in: db) else {
                return .nothing
            }
            if try batch.isLocked(merchantID, in: db) {
                try db.run(
                    "UPDATE resend_batch_merchants SET turn = turn + 1 WHERE batch_id = $1 AND merchant_id = $2",
                    [.int(batch.id), .int(merchantID)])
                return .waiting
            }
            let frozen = clocks.current(merchantID)
            _ = clocks.next(merchantID)
            let jobs = try batch.open(merchantID, frozenSeq: frozen, jobIDs: jobIDs, now: now, store: self, in: db)
            try clocks.save(in: db)
            if jobs > 0 { try Self.probeSoon(merchantID: merchantID, now: now, in: db) }
            try db.run(
                "UPDATE resend_batch_merchants SET opened_at = $3 WHERE batch_id = $1 AND merchant_id = $2",
                [.int(batch.id), .int(merchantID), .time(now)])
            return .opened(jobs: jobs)
        }
        if case .opened(let jobs) = step, jobs > 0 { announceWork() }
        return step
    }

    /// A merchant whose turn failed comes after the others.
    package func passTurn(_ turn: BatchTurn) async throws {
        guard let merchantID = turn.merchantID else { return }
        try await engine.write(.chunks) { db in
            try db.run(
                "UPDATE resend_batch_merchants SET turn = turn + 1 WHERE batch_id = $1 AND merchant_id = $2",
                [.int(turn.batchID), .int(merchantID)])
            return ()
        }
    }

    private static func endBatch(_ id: Int64, now: Timestamp, in db: any SQLConnection) throws -> BatchStep {
        let ended = try db.run(
            """
            UPDATE resend_batches SET state = 'completed', ended_at = $2
            WHERE id = $1 AND state = 'processing' AND NOT EXISTS (
                SELECT 1 FROM resend_batch_merchants m WHERE m.batch_id = $1 AND m.opened_at IS NULL)
            """, [.int(id), .time(now)])
        return ended == 1 ? .ended : .nothing
    }
}

/// A running batch, locked.
private struct OpenBatch {
    let id: Int64
    let publicID: String
    let requestedBy: String
    let request: ResendBatchRequest
    let trace: TraceParent?

    init?(_ id: Int64, in db: any SQLConnection) throws {
        let found = try db.first(
            """
            SELECT public_id, requested_by, range_start, range_end, statuses, only_unacked, max_per_second, canary,
                trace
            FROM resend_batches WHERE id = $1 AND state = 'processing' FOR UPDATE
            """, [.int(id)]
        ) { row in
            (
                publicID: row.text(0), requestedBy: row.text(1),
                request: ResendBatchRequest(
                    merchants: .all, range: ResendWindow(startSeconds: row.int(2), endSeconds: row.int(3)),
                    statuses: row.text(4).split(separator: ",").compactMap { Int64($0) },
                    options: ResendOptions(
                        onlyUnacknowledged: row.bool(5), maxPerSecond: row.intIfPresent(6),
                        canary: row.intIfPresent(7))),
                trace: row.blobIfPresent(8).flatMap(TraceParent.init(bytes:))
            )
        }
        guard let found else { return nil }
        self.id = id
        (publicID, requestedBy, request, trace) = (found.publicID, found.requestedBy, found.request, found.trace)
    }

    func isWaiting(_ merchantID: Int64, in db: any SQLConnection) throws -> Bool {
        try db.first(
            "SELECT 1 FROM resend_batch_merchants WHERE batch_id = $1 AND merchant_id = $2 AND opened_at IS NULL",
            [.int(id), .int(merchantID)]
        ) { $0.int(0) } != nil
    }

    /// Whether a job that runs has the start time of one of the windows (`docs/contract.md` 4.4).
    func isLocked(_ merchantID: Int64, in db: any SQLConnection) throws -> Bool {
        let starts = Set(request.range.split.map(\.startSeconds))
        let running = try db.all(
            """
            SELECT window_start FROM resends
            WHERE merchant_id = $1 AND kind = 'v2-payout' AND state = 'processing' AND window_start BETWEEN $2 AND $3
            """, [.int(merchantID), .int(request.range.startSeconds), .int(request.range.endSeconds)]
        ) { $0.int(0) }
        return running.contains(where: starts.contains)
    }

    /// A job for each window in which something matches; how many.
    func open(
        _ merchantID: Int64, frozenSeq: Int64, jobIDs: [String], now: Timestamp, store: Store,
        in db: any SQLConnection
    ) throws -> Int {
        let accountID = try db.first("SELECT account_id FROM merchants WHERE id = $1", [.int(merchantID)]) { $0.int(0) }
        guard let accountID else { return 0 }
        var opened = 0
        for (window, jobID) in zip(request.range.split, jobIDs) {
            let wanted = request.request(merchantID, window)
            let total = try CountMatching.total(of: wanted, in: db)
            if total == 0 { continue }
            let opening = ResendOpening(
                accountID: accountID, jobID: jobID, requester: Requester(actor: requestedBy), trace: trace)
            try store.insertJob(
                wanted, opening, total: total, frozenSeq: frozenSeq, batch: (id, publicID), now: now, in: db)
            opened += 1
        }
        return opened
    }
}
