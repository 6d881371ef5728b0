package import ReenvioModel

/// What the dispatcher has room for, as one value: everything a claim needs to decide inside the transaction.
package struct ClaimOrder: Sendable {
    /// Engine time.
    package var now: Timestamp
    /// End of the leases taken now, engine time.
    package var leaseUntil: Timestamp
    /// Random; proves later that a result belongs to this claim.
    package var token: Int64
    package var turns: Turns
    /// Wall time, which dates changes of a receiver's health.
    package var wall: Timestamp

    package init(now: Timestamp, wall: Timestamp? = nil, leaseUntil: Timestamp, token: Int64, turns: Turns) {
        self.now = now
        self.wall = wall ?? now
        self.leaseUntil = leaseUntil
        self.token = token
        self.turns = turns
    }
}

package struct ClaimResult: Sendable {
    package var deliveries: [ClaimedDelivery] = []
    /// The queues that were looked at, with whether they still hold due work.
    package var queues: [(merchantID: Int64, queue: QueueID, hasMore: Bool)] = []
    /// The turns after this claim, for the rotation to go on from.
    package var turns: Turns?
    /// When the next queue or receiver comes due; nil when none waits. Engine time.
    package var nextDue: Timestamp?
    /// Claimed events of v3 that could not be opened; they come due again when their leases end.
    package var unreadable = 0
    /// Jobs that were canceled a moment ago: nothing of them may begin.
    package var canceled: Set<Int64> = []
    /// Due deliveries that were not claimed: their resend's pace has put them off, or they need not be sent any more.
    package var passedOver = 0
    /// Claimed events of v3, still sealed.
    var sealedEvents: [SealedEvent] = []
    /// Deliveries claimed now whose last claim ended without a result: its node is gone, or was too slow.
    package var abandoned = 0
    var resends = ClaimedResends()

    package init() {}
}

/// Takes due work out of due queues and leases it: the lease is the due time (`docs/architecture.md`, rules 4 and 5).
enum ClaimDeliveries {
    /// How many due queues one claim looks at per lane; those beyond come up in the next.
    private static let queuesPerLane = 256
    /// A queue with more work than its receiver has slots for comes up again after this long; meanwhile the node that
    /// saw it claims from it as slots come free.
    private static let revisitAfter: Duration = .seconds(2)

    static func run(_ order: ClaimOrder, in db: any SQLConnection) throws -> ClaimResult {
        var result = ClaimResult()
        result.canceled = Set(try CanceledJobs.sweeping(in: db))
        try ProbeReceivers.run(order, into: &result, in: db)
        var turns = order.turns
        for delivery in result.deliveries { turns.took(1, from: delivery.candidate, hasMore: false) }
        for event in result.sealedEvents { turns.took(1, from: event.candidate, hasMore: false) }
        let known = turns.backlogWithRoom(limit: queuesPerLane)
        let found = try dueQueues(order, besides: Set(known), in: db)
        let candidates = try lock(known + found, known: Set(known), into: &result, in: db)
        var due: [Turns.Candidate: Int] = [:]
        for candidate in candidates {
            let limit = turns.lookahead(of: candidate, among: candidates.count)
            due[candidate] = try dueCount(candidate, order.now, limit: limit, in: db)
        }
        for grant in turns.grants(for: candidates, due: { due[$0] ?? 0 }) {
            let candidate = Turns.Candidate(merchantID: grant.merchantID, queue: grant.queue)
            try claim(candidate, grant.count, order, into: &result, in: db)
            let hasMore = (due[candidate] ?? 0) > grant.count
            result.queues.append((grant.merchantID, grant.queue, hasMore))
            try moveQueue(grant, hasMore: hasMore, order, in: db)
        }
        result.turns = turns
        result.nextDue = try nextDue(in: db)
        return result
    }

    /// Those queues that no other node claims from at this moment: what comes into them waits for this claim, and wakes
    /// them again. A queue that this node knows and that is gone, holds nothing more.
    private static func lock(
        _ candidates: [Turns.Candidate], known: Set<Turns.Candidate>, into result: inout ClaimResult,
        in db: any SQLConnection
    ) throws -> [Turns.Candidate] {
        guard db.dialect.hasRowLocks, !candidates.isEmpty else { return candidates }
        var rows = SQLRows([("merchant_id", .int), ("id", .int)], reserving: candidates.count)
        for candidate in candidates { rows.append([.int(candidate.merchantID), .int(candidate.queue.raw)]) }
        var locked: Set<Turns.Candidate> = []
        try db.batch(lockQueues, rows) { row in
            guard let queue = QueueID(raw: row.int(1)) else { return }
            locked.insert(Turns.Candidate(merchantID: row.int(0), queue: queue))
        }
        for candidate in known where !locked.contains(candidate) {
            let isThere = try db.first(
                "SELECT 1 FROM queues WHERE merchant_id = $1 AND id = $2",
                [.int(candidate.merchantID), .int(candidate.queue.raw)]
            ) { $0.int(0) }
            if isThere == nil { result.queues.append((candidate.merchantID, candidate.queue, false)) }
        }
        return candidates.filter(locked.contains)
    }

    private static let lockQueues = """
        SELECT q.merchant_id, q.id FROM queues q, {rows} WHERE q.merchant_id = rows.merchant_id AND q.id = rows.id
        ORDER BY q.merchant_id, q.id FOR UPDATE OF q SKIP LOCKED
        """

    private static func nextDue(in db: any SQLConnection) throws -> Timestamp? {
        var earliest = try ReceiverStates.nextResume(in: db)
        for lane in Lane.allCases {
            try db.query(
                "SELECT next_due FROM queues WHERE parked = 0 AND lane = $1 ORDER BY next_due LIMIT 1",
                [.int(lane.rawValue)]
            ) { earliest = min(earliest ?? $0.time(0), $0.time(0)) }
        }
        return earliest
    }

    /// Queues that are due by the store, whether or not this node has room for them: those it has none for are put off.
    private static func dueQueues(
        _ order: ClaimOrder, besides known: Set<Turns.Candidate>, in db: any SQLConnection
    ) throws -> [Turns.Candidate] {
        var due: [Turns.Candidate] = []
        var seen = known
        for lane in Lane.allCases {
            try db.query(
                """
                SELECT merchant_id, id FROM queues WHERE parked = 0 AND lane = $1 AND next_due <= $2
                ORDER BY next_due LIMIT $3
                """,
                [.int(lane.rawValue), .time(order.now), .int(queuesPerLane)]
            ) { row in
                guard let queue = QueueID(raw: row.int(1)) else { return }
                let candidate = Turns.Candidate(merchantID: row.int(0), queue: queue)
                if seen.insert(candidate).inserted { due.append(candidate) }
            }
        }
        return due
    }

    /// How many are due, no further than it matters; none in a queue that was parked meanwhile.
    private static func dueCount(
        _ candidate: Turns.Candidate, _ now: Timestamp, limit: Int, in db: any SQLConnection
    ) throws -> Int {
        try db.first(
            """
            SELECT count(*) FROM (
                SELECT 1 FROM queues q
                JOIN deliveries d ON d.merchant_id = q.merchant_id AND d.queue_id = q.id AND d.due_at <= $3
                WHERE q.merchant_id = $1 AND q.id = $2 AND q.parked = 0 LIMIT $4) AS due
            """,
            [.int(candidate.merchantID), .int(candidate.queue.raw), .time(now), .int(limit)]
        ) { Int($0.int(0)) } ?? 0
    }

    /// Leases up to `count` due deliveries of a queue, those due for longest first.
    static func claim(
        _ candidate: Turns.Candidate, _ count: Int, _ order: ClaimOrder, isProbe: Bool = false,
        into result: inout ClaimResult, in db: any SQLConnection
    ) throws {
        if count == 0 { return }
        let due: [SQLValue] = [
            .int(candidate.merchantID), .int(candidate.queue.raw), .time(order.now), .int(count),
        ]
        var rows = SQLRows([("merchant_id", .int), ("id", .int), ("lease", .int), ("token", .int)], reserving: count)
        var events = ClaimEvents(candidate, token: order.token, isProbe: isProbe)
        var passed = PassedOver(candidate, order, isProbe: isProbe, canceled: result.canceled)
        try db.query(load, due) { row in
            result.abandoned += Int(row.int(16))
            let resend = try row.intIfPresent(11).flatMap { try result.resends.find($0, in: db) }
            if let resend, passed.takes(row, of: resend) { return }
            if !row.isNull(15) { return events.add(deliveryID: row.int(0)) }
            rows.append([
                .int(candidate.merchantID), .int(row.int(0)), .time(order.leaseUntil), .int(order.token),
            ])
            let delivery = ClaimedDelivery(
                row, candidate, token: order.token, resendPublicID: resend?.name, isProbe: isProbe)
            if let delivery { result.deliveries.append(delivery) }
        }
        for id in try events.run(order, into: &result, in: db) {
            rows.append([.int(candidate.merchantID), .int(id), .time(order.leaseUntil), .int(order.token)])
        }
        try db.batch(lease, rows)
        try passed.save(in: db)
        result.passedOver += passed.count
    }

    private static let lease = """
        UPDATE deliveries SET due_at = rows.lease, claim_token = rows.token, attempts = deliveries.attempts + 1
        FROM {rows} WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
        """

    /// A live delivery carries its own notification; a resend's carries the payout's latest at each claim
    /// (`docs/contract.md` 4.2). Outer joins, so that a damaged row is leased like the others and not met each time.
    private static let load = """
        SELECT d.id, d.attempts, d.payout_id, p.invoice, p.amount_minor, p.currency, p.notification_url,
            n.id, n.nonce, n.sequence, n.body, d.resend_id, d.created_at, n.change_seq, n.live_delivery_id,
            d.registration_id, CASE WHEN d.claim_token IS NULL THEN 0 ELSE 1 END, d.has_slot, d.due_at,
            n.acked_at IS NOT NULL
        FROM deliveries d
        LEFT JOIN payouts p ON p.id = d.payout_id
        LEFT JOIN notifications n ON n.id =
            CASE WHEN d.resend_id IS NULL THEN d.notification_id ELSE p.latest_notification_id END
        WHERE d.merchant_id = $1 AND d.queue_id = $2 AND d.due_at <= $3 ORDER BY d.due_at, d.id LIMIT $4
        FOR UPDATE OF d SKIP LOCKED
        """

    /// Sets when the queue comes due next: at its earliest delivery, leases included, or soon when work was left
    /// behind.
    private static func moveQueue(
        _ grant: Turns.Grant, hasMore: Bool, _ order: ClaimOrder, in db: any SQLConnection
    ) throws {
        let never = SQLValue.int(Int64.max)
        let key: [SQLValue] = [.int(grant.merchantID), .int(grant.queue.raw)]
        if hasMore {
            // It mostly stands there already, from the claim before.
            try db.run(
                "UPDATE queues SET next_due = $3 WHERE merchant_id = $1 AND id = $2 AND next_due <= $4",
                key + [.time(order.now + revisitAfter), .time(order.now)]
            )
        } else {
            try db.run(
                """
                UPDATE queues SET next_due = coalesce(
                    (SELECT min(due_at) FROM deliveries WHERE merchant_id = $1 AND queue_id = $2), $3)
                WHERE merchant_id = $1 AND id = $2
                """,
                key + [never]
            )
        }
    }
}
