package import ReenvioModel

/// What a step of the runner did.
package struct ResendStep: Sendable, Equatable {
    package enum Progress: Sendable, Equatable {
        /// No resend is running.
        case idle
        /// Every running resend waits for its deliveries to drain.
        case waiting
        /// One step of this resend was committed.
        case advanced
        /// This resend ended with the step.
        case ended(Resend.State)
    }

    package var progress: Progress
    package var resendID: Int64?
    /// Deliveries enqueued by the step.
    package var queued = 0
    package var failed = 0
}

/// A resend whose next chunk cannot be written, however often it is tried.
package struct ResendBroken: Error, Equatable {
    package var resendID: Int64
    /// For the log; never shown outside.
    package var why: String
}

/// Where and under which rules a chunk's deliveries go.
package struct ChunkRules: Sendable {
    /// Wall time, shown as `updated_at`.
    package var now: Timestamp
    /// Engine time of the first attempts.
    package var due: Timestamp
    /// Judges URLs by syntax and literal address; a refused one counts as failed (`docs/contract.md` 5).
    package var policy: AddressPolicy
    /// Most deliveries of one resend that may wait undelivered.
    package var backlogMax: Int64
    /// Engine time of the first attempts of a v3 resend, which has a schedule of its own (`docs/contract.md` 6.4).
    package var logDue: Timestamp

    package init(
        now: Timestamp, due: Timestamp, logDue: Timestamp? = nil, policy: AddressPolicy, backlogMax: Int64
    ) {
        self.now = now
        self.due = due
        self.logDue = logDue ?? due
        self.policy = policy
        self.backlogMax = backlogMax
    }
}

extension Store {
    /// Takes one step of the next running resend after `last`: at most 200 items and 5,000 index entries. The chunk's
    /// deliveries, the cursor and the counters are one commit (`docs/contract.md` 5).
    package func advanceResend(after last: Int64?, _ rules: ChunkRules) async throws -> ResendStep {
        try await engine.write(.chunks) { db in
            let running = try RunningResend.next(after: last ?? 0, backlogMax: rules.backlogMax, in: db)
            guard let running else {
                let isAnyRunning = try db.first("SELECT id FROM resends WHERE state = 'processing' LIMIT 1") {
                    $0.int(0)
                }
                return ResendStep(progress: isAnyRunning == nil ? .idle : .waiting)
            }
            do {
                if let category = running.kind.category { return try LogChunk(running, category, rules).run(in: db) }
                return try ResendChunk(running, rules).run(in: db)
            } catch StoreError.failed(let why) {
                throw ResendBroken(resendID: running.id, why: why)
            }
        }
    }

    /// Ends a resend that cannot go on, so that it never holds the lock for ever (`docs/contract.md` 4.4).
    package func failResend(id: Int64, reason: String, now: Timestamp) async throws {
        try await engine.write(.chunks) { db in
            try db.run(
                """
                UPDATE resends SET state = 'failed', ended = 'failed', reason = $2, ended_at = $3, updated_at = $3,
                    log_status = CASE WHEN log_status IS NULL THEN NULL ELSE 'FAILED' END
                WHERE id = $1 AND state = 'processing'
                """,
                [.int(id), .text(reason), .time(now)]
            )
            return ()
        }
    }
}

/// A running resend as its next chunk needs it.
struct RunningResend {
    var id: Int64
    var merchantID: Int64
    var kind: Resend.Kind
    var statuses: Set<Int64>
    var windowStart: Int64
    var windowEnd: Int64
    var frozenSeq: Int64
    var cursorSecond: Int64
    var cursorSeq: Int64
    /// Of v3: the one object, and the registrations, once it has begun.
    var objectID: Int64?
    var registrations: String?

    /// The first one after `last` whose backlog has room, then from the beginning: resends take turns.
    static func next(after last: Int64, backlogMax: Int64, in db: any SQLConnection) throws -> RunningResend? {
        var found: RunningResend?
        for (from, to) in [(last + 1, Int64.max), (0, last)] where found == nil {
            found = try db.first(
                """
                SELECT r.id, r.merchant_id, r.statuses, r.window_end, r.frozen_seq, r.cursor_s, r.cursor_seq, r.kind,
                    r.window_start, r.object_id, r.registrations
                FROM resends r WHERE r.state = 'processing' AND r.id BETWEEN $1 AND $2 AND r.queued - (
                    SELECT coalesce(sum(t.delivered + t.undelivered + t.skipped), 0) FROM resend_tallies t
                    WHERE t.merchant_id = r.merchant_id AND t.resend_id = r.id) < $3
                ORDER BY r.id LIMIT 1
                """,
                [.int(from), .int(to), .int(backlogMax)]
            ) { row in
                guard let kind = Resend.Kind(rawValue: row.text(7)) else {
                    throw StoreError.failed("resend \(row.int(0)) is of an unknown kind")
                }
                return RunningResend(
                    id: row.int(0), merchantID: row.int(1), kind: kind, statuses: StatusList.statuses(row.text(2)),
                    windowStart: row.intIfPresent(8) ?? 0, windowEnd: row.intIfPresent(3) ?? 0,
                    frozenSeq: row.int(4), cursorSecond: row.int(5), cursorSeq: row.int(6),
                    objectID: row.intIfPresent(9), registrations: row.textIfPresent(10)
                )
            }
        }
        return found
    }
}

/// One chunk: walks the index from the cursor, and writes deliveries, cursor and counters.
private struct ResendChunk {
    private let resend: RunningResend
    private let rules: ChunkRules
    private var cursorSecond: Int64
    private var cursorSeq: Int64
    private var payoutIDs: [Int64] = []
    private var isAtEnd = false

    init(_ resend: RunningResend, _ rules: ChunkRules) {
        self.resend = resend
        self.rules = rules
        cursorSecond = resend.cursorSecond
        cursorSeq = resend.cursorSeq
    }

    func run(in db: any SQLConnection) throws -> ResendStep {
        var chunk = self
        try chunk.walk(in: db)
        let failed = try chunk.enqueue(in: db)
        let queued = chunk.payoutIDs.count - failed
        let ended = try chunk.save(queued: queued, failed: failed, in: db)
        return ResendStep(
            progress: ended.map { .ended($0) } ?? .advanced, resendID: resend.id, queued: queued, failed: failed
        )
    }

    /// Collects the next payouts of the frozen set. The walk is bounded by entries looked at, too: an empty step still
    /// moves the cursor.
    private mutating func walk(in db: any SQLConnection) throws {
        // Where everything matches, no more is read than a chunk takes; where little does, the steps grow.
        var lookedAt = 0
        var step = Limits.resendChunk
        while payoutIDs.count < Limits.resendChunk, lookedAt < Limits.resendEntriesPerStep, !isAtEnd {
            let limit = min(step, Limits.resendEntriesPerStep - lookedAt)
            lookedAt += try walk(entries: limit, in: db)
            step *= 5
        }
    }

    /// Looks at up to `limit` entries after the cursor, and returns how many it looked at.
    private mutating func walk(entries limit: Int, in db: any SQLConnection) throws -> Int {
        var entries = 0
        var isFull = false
        try db.query(
            """
            SELECT changed_s, seq, status_id, superseded_seq, payout_id FROM status_changes
            WHERE merchant_id = $1 AND notification_id IS NOT NULL AND (changed_s, seq) > ($2, $3) AND changed_s <= $4
            ORDER BY changed_s, seq LIMIT $5
            """,
            [
                .int(resend.merchantID), .int(cursorSecond), .int(cursorSeq), .int(resend.windowEnd), .int(limit),
            ]
        ) { row in
            if isFull { return }
            entries += 1
            (cursorSecond, cursorSeq) = (row.int(0), row.int(1))
            if isInFrozenSet(seq: row.int(1), statusID: row.int(2), supersededSeq: row.intIfPresent(3)) {
                payoutIDs.append(row.int(4))
            }
            isFull = payoutIDs.count == Limits.resendChunk
        }
        isAtEnd = !isFull && entries < limit
        return entries
    }

    /// `docs/architecture.md`, rule 3: current at dispatch, whatever happened since.
    private func isInFrozenSet(seq: Int64, statusID: Int64, supersededSeq: Int64?) -> Bool {
        guard seq <= resend.frozenSeq, resend.statuses.contains(statusID) else { return false }
        guard let supersededSeq else { return true }
        return supersededSeq > resend.frozenSeq
    }

    /// Writes the chunk's deliveries and returns how many payouts could not be enqueued.
    private func enqueue(in db: any SQLConnection) throws -> Int {
        var wanted = SQLRows([("id", .int)])
        for id in payoutIDs { wanted.append([.int(id)]) }
        var targets: [(payoutID: Int64, receiverID: Int64)] = []
        var judged: [String: Bool] = [:]
        try db.batch(
            """
            SELECT p.id, p.receiver_id, p.notification_url FROM payouts p, {rows}
            WHERE p.id = rows.id AND p.erased_at IS NULL
            """, wanted
        ) { row in
            guard let receiverID = row.intIfPresent(1), let url = row.textIfPresent(2) else { return }
            let isAllowed = judged[url] ?? ((try? ReceiverURL(parsing: url, policy: rules.policy)) != nil)
            if judged.count < Limits.resendChunk { judged[url] = isAllowed }
            if isAllowed { targets.append((row.int(0), receiverID)) }
        }
        let ids = try db.nextIDs(.delivery, targets.count)
        var rows = SQLRows([
            ("merchant_id", .int), ("id", .int), ("queue_id", .int), ("due", .int), ("payout_id", .int),
            ("resend_id", .int), ("at", .int),
        ])
        var wakes = QueueWakes()
        for (target, id) in zip(targets, ids) {
            let queue = QueueID(receiverID: target.receiverID, lane: .resend)
            rows.append([
                .int(resend.merchantID), .int(id), .int(queue.raw), .time(rules.due), .int(target.payoutID),
                .int(resend.id), .time(rules.now),
            ])
            wakes.add(resend.merchantID, queue, due: rules.due)
        }
        try db.batch(
            """
            INSERT INTO deliveries (merchant_id, id, queue_id, due_at, payout_id, resend_id, created_at)
            SELECT rows.merchant_id, rows.id, rows.queue_id, rows.due, rows.payout_id, rows.resend_id, rows.at
            FROM {rows}
            """,
            rows
        )
        try wakes.save(in: db)
        return payoutIDs.count - targets.count
    }

    /// Saves cursor and counters. At the end of the walk the sums must meet the total; anything else is damage, and is
    /// said so rather than hidden.
    private func save(queued: Int, failed: Int, in db: any SQLConnection) throws -> Resend.State? {
        let sums = try db.first(
            """
            UPDATE resends SET queued = queued + $2, failed = failed + $3, cursor_s = $4, cursor_seq = $5,
                updated_at = CASE WHEN updated_at < $6 THEN $6 ELSE updated_at END
            WHERE id = $1 AND state = 'processing' AND cursor_s = $7 AND cursor_seq = $8
            RETURNING queued + failed, total
            """,
            [
                .int(resend.id), .int(queued), .int(failed), .int(cursorSecond), .int(cursorSeq), .time(rules.now),
                .int(resend.cursorSecond), .int(resend.cursorSeq),
            ]
        ) { (done: $0.int(0), total: $0.int(1)) }
        guard let sums else { throw StoreError.unavailable("another node took this step of resend \(resend.id)") }
        guard sums.done <= sums.total else {
            throw StoreError.failed("resend \(resend.id) met \(sums.done) items of \(sums.total)")
        }
        let isDone = sums.done == sums.total
        guard isDone || isAtEnd else { return nil }
        let state: Resend.State = isDone ? .completed : .failed
        try db.run(
            """
            UPDATE resends SET state = $2, ended = $2, reason = $3, ended_at = updated_at WHERE id = $1
            """,
            [
                .int(resend.id), .text(state.rawValue),
                isDone ? .null : .text("Only \(sums.done) of \(sums.total) payouts were found."),
            ]
        )
        return state
    }
}
