import ReenvioModel

/// One chunk: walks the index from the cursor, and writes deliveries, cursor and counters.
struct ResendChunk {
    private let resend: RunningResend
    private let rules: ChunkRules
    private var cursorSecond: Int64
    private var cursorSeq: Int64
    private var payoutIDs: [Int64] = []
    private var isAtEnd = false
    /// Items that it may enqueue.
    private let room: Int

    init(_ resend: RunningResend, _ rules: ChunkRules, room: Int) {
        self.resend = resend
        self.rules = rules
        self.room = room
        cursorSecond = resend.cursorSecond
        cursorSeq = resend.cursorSeq
    }

    func run(in db: any SQLConnection) throws -> ResendStep {
        var chunk = self
        try chunk.walk(in: db)
        let failures = try chunk.enqueue(in: db)
        let queued = chunk.payoutIDs.count - failures.count
        let ended = try chunk.save(queued: queued, failed: failures.count, in: db)
        return ResendStep(
            progress: ended.map { .ended($0) } ?? .advanced, resendID: resend.id, queued: queued,
            failures: failures.reasons)
    }

    /// Collects the next payouts of the frozen set. The walk is bounded by entries looked at, too: an empty step still
    /// moves the cursor.
    private mutating func walk(in db: any SQLConnection) throws {
        // Where everything matches, no more is read than a chunk takes; where little does, the steps grow.
        var lookedAt = 0
        var step = room
        while payoutIDs.count < room, lookedAt < Limits.resendEntriesPerStep, !isAtEnd {
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
            resend.options.onlyUnacknowledged ? Self.entriesWithAcknowledgement : Self.entries,
            [
                .int(resend.merchantID), .int(cursorSecond), .int(cursorSeq), .int(resend.windowEnd), .int(limit),
            ]
        ) { row in
            if isFull { return }
            entries += 1
            (cursorSecond, cursorSeq) = (row.int(0), row.int(1))
            if isInFrozenSet(row) { payoutIDs.append(row.int(4)) }
            isFull = payoutIDs.count == room
        }
        isAtEnd = !isFull && entries < limit
        return entries
    }

    private static let entries = """
        SELECT changed_s, seq, status_id, superseded_seq, payout_id FROM status_changes
        WHERE merchant_id = $1 AND notification_id IS NOT NULL AND (changed_s, seq) > ($2, $3) AND changed_s <= $4
        ORDER BY changed_s, seq LIMIT $5
        """

    private static let entriesWithAcknowledgement = """
        SELECT c.changed_s, c.seq, c.status_id, c.superseded_seq, c.payout_id, n.acked_seq
        FROM status_changes c JOIN notifications n ON n.id = c.notification_id
        WHERE c.merchant_id = $1 AND c.notification_id IS NOT NULL AND (c.changed_s, c.seq) > ($2, $3)
            AND c.changed_s <= $4
        ORDER BY c.changed_s, c.seq LIMIT $5
        """

    /// `docs/architecture.md`, rule 3: current at dispatch, and not acknowledged where that is asked for, whatever
    /// happened since.
    private func isInFrozenSet(_ row: any SQLRow) -> Bool {
        func happenedLater(_ column: Int) -> Bool { row.isNull(column) || row.int(column) > resend.frozenSeq }
        return row.int(1) <= resend.frozenSeq && resend.statuses.contains(row.int(2)) && happenedLater(3)
            && (!resend.options.onlyUnacknowledged || happenedLater(5))
    }

    /// Writes the chunk's deliveries, and those payouts that could not be enqueued, with the reason.
    private func enqueue(in db: any SQLConnection) throws -> FailedItems {
        var wanted = SQLRows([("id", .int)])
        for id in payoutIDs { wanted.append([.int(id)]) }
        var targets: [(payoutID: Int64, receiverID: Int64)] = []
        var failures = FailedItems(merchantID: resend.merchantID, resendID: resend.id)
        var judged: [String: Bool] = [:]
        try db.batch(
            """
            SELECT p.id, p.receiver_id, p.notification_url, p.erased_at IS NOT NULL FROM payouts p, {rows}
            WHERE p.id = rows.id
            """, wanted
        ) { row in
            if row.bool(3) { return failures.add(payout: row.int(0), .erased) }
            guard let receiverID = row.intIfPresent(1), let url = row.textIfPresent(2) else {
                return failures.add(payout: row.int(0), .addressForbidden)
            }
            let isAllowed = judged[url] ?? ((try? ReceiverURL(parsing: url, policy: rules.policy)) != nil)
            if judged.count < Limits.resendChunk { judged[url] = isAllowed }
            if isAllowed {
                targets.append((row.int(0), receiverID))
            } else {
                failures.add(payout: row.int(0), .addressForbidden)
            }
        }
        guard targets.count + failures.count == payoutIDs.count else {
            throw StoreError.failed("resend \(resend.id) met payouts that are not stored")
        }
        try insert(targets, in: db)
        try failures.save(in: db)
        return failures
    }

    private func insert(_ targets: [(payoutID: Int64, receiverID: Int64)], in db: any SQLConnection) throws {
        let ids = try db.nextIDs(.delivery, targets.count)
        let slots = try ResendPaces.take(targets.count, of: resend, from: rules.due, in: db)
        var rows = SQLRows([
            ("merchant_id", .int), ("id", .int), ("queue_id", .int), ("due", .int), ("payout_id", .int),
            ("resend_id", .int), ("at", .int), ("has_slot", .int),
        ])
        var wakes = QueueWakes()
        for (index, target) in targets.enumerated() {
            let queue = QueueID(receiverID: target.receiverID, lane: .resend)
            let due = slots?[index] ?? rules.due
            rows.append([
                .int(resend.merchantID), .int(ids[index]), .int(queue.raw), .time(due), .int(target.payoutID),
                .int(resend.id), .time(rules.now), .bool(slots != nil),
            ])
            wakes.add(resend.merchantID, queue, due: due)
        }
        try db.send(
            """
            INSERT INTO deliveries (merchant_id, id, queue_id, due_at, payout_id, resend_id, created_at, has_slot)
            SELECT rows.merchant_id, rows.id, rows.queue_id, rows.due, rows.payout_id, rows.resend_id, rows.at,
                rows.has_slot
            FROM {rows}
            """,
            rows
        )
        try wakes.save(in: db)
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
        // With a canary the job runs until that is decided.
        if isDone, resend.options.canary != nil, !resend.isCanaryPassed { return nil }
        guard isDone || isAtEnd else { return nil }
        let reason = isDone ? nil : "Only \(sums.done) of \(sums.total) payouts were found."
        return try EndResend(isDone ? .completed : .failed, reason: reason).run(id: resend.id, in: db)
    }
}

/// Ends a job at the time at which it was last updated.
struct EndResend {
    private let state: Resend.State
    private let reason: String?

    init(_ state: Resend.State, reason: String? = nil) {
        self.state = state
        self.reason = reason
    }

    @discardableResult
    func run(id: Int64, in db: any SQLConnection) throws -> Resend.State {
        try db.run(
            """
            UPDATE resends SET state = $2, ended = $2, reason = $3, ended_at = updated_at
            WHERE id = $1 AND state = 'processing'
            """,
            [.int(id), .text(state.rawValue), .optional(reason)]
        )
        return state
    }
}
