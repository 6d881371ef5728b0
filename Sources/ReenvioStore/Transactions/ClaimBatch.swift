import ReenvioModel

/// Leases due deliveries of queues, of each up to a number, those due for longest first: a handful of statements,
/// however many queues there are.
struct ClaimBatch {
    /// What is taken out of one queue.
    struct Part {
        let candidate: Turns.Candidate
        let count: Int
        let probe: Breaker.Occasion?
        /// Where a probe begins; the others begin where their queue's last claim ended.
        fileprivate let after: ClaimCursors.Position?
        fileprivate var events: ClaimEvents
        fileprivate var passed: PassedOver?
        fileprivate var met = 0
        fileprivate var last: ClaimCursors.Position?

        private init(
            _ candidate: Turns.Candidate, _ count: Int, probe: Breaker.Occasion?, after: ClaimCursors.Position?,
            _ order: ClaimOrder
        ) {
            self.candidate = candidate
            self.count = count
            self.probe = probe
            self.after = after
            events = ClaimEvents(candidate, token: order.token, probe: probe)
        }

        /// The delivery right after a position, ahead of others.
        init(_ candidate: Turns.Candidate, after: ClaimCursors.Position, _ order: ClaimOrder) {
            self.init(candidate, 1, probe: nil, after: after, order)
        }

        /// The delivery right after a position, which goes through an open breaker.
        init(
            _ candidate: Turns.Candidate, probe: Breaker.Occasion, after: ClaimCursors.Position, _ order: ClaimOrder
        ) {
            self.init(candidate, 1, probe: probe, after: after, order)
        }

        init(_ grant: Turns.Grant, _ order: ClaimOrder) {
            self.init(
                Turns.Candidate(merchantID: grant.merchantID, queue: grant.queue), grant.count, probe: nil, after: nil,
                order)
        }
    }

    private var parts: [Part]
    private let order: ClaimOrder
    private var leases: SQLRows

    init(_ parts: [Part], _ order: ClaimOrder) {
        self.parts = parts.filter { $0.count > 0 }
        self.order = order
        leases = SQLRows(
            [("merchant_id", .int), ("id", .int), ("lease", .int), ("token", .int)],
            reserving: parts.reduce(0) { $0 + $1.count })
    }

    /// Returns how many due deliveries were met in each queue, of those with a part.
    @discardableResult
    func run(into result: inout ClaimResult, in db: any SQLConnection) throws -> [Turns.Candidate: Int] {
        var batch = self
        try batch.load(into: &result, in: db)
        for part in batch.parts {
            for id in try part.events.run(order, into: &result, in: db) { batch.lease(part.candidate, id) }
        }
        try db.send(Self.lease, batch.leases)
        for var passed in batch.parts.compactMap(\.passed) {
            try passed.save(in: db)
            result.passedOver += passed.count
        }
        for part in batch.parts where part.after == nil {
            if let last = part.last, part.met >= part.count, db.dialect.hasRowLocks {
                result.cursors.advance(part.candidate, to: last, at: order.now)
            } else {
                result.cursors.rewind(part.candidate)
            }
        }
        return batch.parts.reduce(into: [:]) { $0[$1.candidate, default: 0] += $1.met }
    }

    private mutating func lease(_ candidate: Turns.Candidate, _ id: Int64) {
        leases.append([.int(candidate.merchantID), .int(id), .time(order.leaseUntil), .int(order.token)])
    }

    private mutating func load(into result: inout ClaimResult, in db: any SQLConnection) throws {
        var wanted = SQLRows(
            [
                ("position", .int), ("merchant_id", .int), ("queue_id", .int), ("now", .int), ("most", .int),
                ("after_due", .int), ("after_id", .int),
            ],
            reserving: parts.count)
        for (position, part) in parts.enumerated() {
            let start = part.after ?? result.cursors.start(of: part.candidate, at: order.now)
            wanted.append([
                .int(position), .int(part.candidate.merchantID), .int(part.candidate.queue.raw), .time(order.now),
                .int(part.count), .time(start.due), .int(start.id),
            ])
        }
        try db.batch(Self.load, wanted) { row in
            let position = Int(row.int(21))
            let part = parts[position]
            parts[position].met += 1
            parts[position].last = ClaimCursors.Position(due: row.time(18), id: row.int(0))
            result.abandoned += Int(row.int(16))
            let resend = try row.intIfPresent(11).flatMap { try result.resends.find($0, in: db) }
            if let resend {
                var passed =
                    part.passed
                    ?? PassedOver(
                        part.candidate, order, room: part.count, isProbe: part.probe != nil, canceled: result.canceled)
                let isPassed = passed.takes(row, of: resend)
                parts[position].passed = passed
                if isPassed { return }
            }
            if !row.isNull(15) { return parts[position].events.add(deliveryID: row.int(0)) }
            lease(part.candidate, row.int(0))
            let delivery = ClaimedDelivery(
                row, part.candidate, token: order.token, resend, probe: part.probe)
            if let delivery {
                result.deliveries.append(delivery)
            } else {
                result.damaged.append(
                    ClaimResult.Damaged(
                        merchantID: part.candidate.merchantID, deliveryID: row.int(0),
                        why: "its \(row.isNull(3) ? "payout" : "notification") is gone"))
            }
        }
    }

    private static let lease = """
        UPDATE deliveries SET due_at = rows.lease, claim_token = rows.token, attempts = deliveries.attempts + 1,
            has_slot = 0
        FROM {rows} WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
        """

    /// A live delivery carries its own notification; a resend's carries the payout's latest at each claim
    /// (`docs/contract.md` 4.2). Outer joins, so that a damaged row is leased like the others and not met each time.
    private static let load = """
        SELECT due.*, rows.position FROM {rows} CROSS JOIN LATERAL (
            SELECT d.id, d.attempts, d.payout_id, p.invoice, p.amount_minor, p.currency, p.notification_url,
                n.id, n.nonce, n.sequence, n.body, d.resend_id, d.created_at, n.change_seq, n.live_delivery_id,
                d.registration_id, CASE WHEN d.claim_token IS NULL THEN 0 ELSE 1 END, d.has_slot, d.due_at,
                n.acked_at IS NOT NULL, n.trace
            FROM deliveries d
            LEFT JOIN payouts p ON p.id = d.payout_id
            LEFT JOIN notifications n ON n.id =
                CASE WHEN d.resend_id IS NULL THEN d.notification_id ELSE p.latest_notification_id END
            WHERE d.merchant_id = rows.merchant_id AND d.queue_id = rows.queue_id AND d.due_at <= rows.now
                AND (d.due_at, d.id) > (rows.after_due, rows.after_id)
            ORDER BY d.due_at, d.id LIMIT rows.most FOR UPDATE OF d SKIP LOCKED) AS due
        """
}
