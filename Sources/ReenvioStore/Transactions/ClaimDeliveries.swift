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

    package init(now: Timestamp, leaseUntil: Timestamp, token: Int64, turns: Turns) {
        self.now = now
        self.leaseUntil = leaseUntil
        self.token = token
        self.turns = turns
    }
}

/// Everything one attempt needs.
package struct ClaimedDelivery: Sendable {
    package var merchantID: Int64
    package var id: Int64
    package var token: Int64
    package var queue: QueueID
    /// The number of this attempt, from 1.
    package var attempt: Int
    package var payoutID: Int64
    package var invoice: String
    package var amount: Money
    package var url: String
    package var notificationID: Int64
    package var webhookID: WebhookID
    /// The number of the status change within its payout.
    package var sequence: Int64
    package var body: [UInt8]
    package var resendID: Int64?
    package var resendPublicID: String?
}

package struct ClaimResult: Sendable {
    package var deliveries: [ClaimedDelivery] = []
    /// The queues that were looked at, with whether they still hold due work.
    package var queues: [(merchantID: Int64, queue: QueueID, hasMore: Bool)] = []
    /// The turns after this claim, for the rotation to go on from.
    package var turns: Turns?
    /// When the next queue comes due; nil when none waits. Engine time.
    package var nextDue: Timestamp?

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
        var turns = order.turns
        let known = turns.backlogWithRoom(limit: queuesPerLane)
        let found = try dueQueues(order, besides: Set(known), in: db)
        let candidates = known + found
        let lookahead = turns.lookahead(candidates: candidates.count)
        var due: [Turns.Candidate: [Int64]] = [:]
        for candidate in candidates { due[candidate] = try dueIDs(candidate, order.now, limit: lookahead, in: db) }
        for grant in turns.grants(for: candidates, due: { due[$0]?.count ?? 0 }) {
            let ids = due[Turns.Candidate(merchantID: grant.merchantID, queue: grant.queue)] ?? []
            result.deliveries += try claim(ids.prefix(grant.count), grant, order, in: db)
            let hasMore = ids.count > grant.count
            result.queues.append((grant.merchantID, grant.queue, hasMore))
            try moveQueue(grant, hasMore: hasMore, order, in: db)
        }
        result.turns = turns
        result.nextDue = try nextDue(in: db)
        return result
    }

    private static func nextDue(in db: any SQLConnection) throws -> Timestamp? {
        var earliest: Timestamp?
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

    private static func dueIDs(
        _ candidate: Turns.Candidate, _ now: Timestamp, limit: Int, in db: any SQLConnection
    ) throws -> [Int64] {
        try db.all(
            """
            SELECT id FROM deliveries WHERE merchant_id = $1 AND queue_id = $2 AND due_at <= $3
            ORDER BY due_at, id LIMIT $4
            """,
            [.int(candidate.merchantID), .int(candidate.queue.raw), .time(now), .int(limit)]
        ) { $0.int(0) }
    }

    private static func claim(
        _ ids: ArraySlice<Int64>, _ grant: Turns.Grant, _ order: ClaimOrder, in db: any SQLConnection
    ) throws -> [ClaimedDelivery] {
        var rows = SQLRows([("merchant_id", .int), ("id", .int), ("lease", .int), ("token", .int)])
        for id in ids {
            rows.append([.int(grant.merchantID), .int(id), .time(order.leaseUntil), .int(order.token)])
        }
        try db.batch(lease, rows)
        var claimed: [ClaimedDelivery] = []
        claimed.reserveCapacity(rows.count)
        try db.batch(load, rows) { row in
            claimed.append(delivery(row, grant, order))
        }
        return claimed
    }

    private static let lease = """
        UPDATE deliveries SET due_at = rows.lease, claim_token = rows.token, attempts = deliveries.attempts + 1
        FROM {rows} WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
        """

    private static func delivery(_ row: any SQLRow, _ grant: Turns.Grant, _ order: ClaimOrder) -> ClaimedDelivery {
        ClaimedDelivery(
            merchantID: grant.merchantID, id: row.int(0), token: order.token, queue: grant.queue,
            attempt: Int(row.int(1)), payoutID: row.int(2), invoice: row.text(3),
            amount: Money(minor: row.int(4), currency: row.text(5)), url: row.text(6), notificationID: row.int(7),
            webhookID: WebhookID(id: row.int(7), nonce: UInt64(bitPattern: row.int(8))), sequence: row.int(9),
            body: row.blob(10), resendID: row.intIfPresent(11), resendPublicID: row.textIfPresent(12)
        )
    }

    /// A live delivery carries its own notification; a resend's carries the payout's latest at each claim
    /// (`docs/contract.md` 4.2).
    private static let load = """
        SELECT d.id, d.attempts, d.payout_id, p.invoice, p.amount_minor, p.currency, p.notification_url,
            n.id, n.nonce, n.sequence, n.body, d.resend_id, r.public_id
        FROM deliveries d
        JOIN payouts p ON p.id = d.payout_id
        JOIN notifications n ON n.id =
            CASE WHEN d.resend_id IS NULL THEN d.notification_id ELSE p.latest_notification_id END
        LEFT JOIN resends r ON r.id = d.resend_id, {rows}
        WHERE d.merchant_id = rows.merchant_id AND d.id = rows.id
        """

    /// Sets when the queue comes due next: at its earliest delivery, leases included, or soon when work was left
    /// behind.
    private static func moveQueue(
        _ grant: Turns.Grant, hasMore: Bool, _ order: ClaimOrder, in db: any SQLConnection
    ) throws {
        let never = SQLValue.int(Int64.max)
        let key: [SQLValue] = [.int(grant.merchantID), .int(grant.queue.raw)]
        if hasMore {
            try db.run(
                "UPDATE queues SET next_due = $3 WHERE merchant_id = $1 AND id = $2",
                key + [.time(order.now + revisitAfter)]
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
