import ReenvioModel

/// Payouts whose URL changes, in one transaction under their merchant's clock: the rows, and the counts by receiver
/// (`docs/architecture.md`, rule 3). Counts by minute and second do not depend on the receiver.
struct MovePayoutURLs {
    struct Payout {
        var id: Int64
        var merchantID: Int64
        var latestSeq: Int64
        /// Nil where the payout had no URL, and so no webhook.
        var from: Int64?
        var to: Int64
        var url: String
    }

    private let payouts: [Payout]

    init(_ payouts: [Payout]) {
        self.payouts = payouts
    }

    func write(in db: any SQLConnection) throws {
        if payouts.isEmpty { return }
        var rows = SQLRows([("id", .int), ("receiver_id", .int), ("url", .text)])
        for payout in payouts { rows.append([.int(payout.id), .int(payout.to), .text(payout.url)]) }
        try db.send(
            """
            UPDATE payouts SET receiver_id = rows.receiver_id, notification_url = rows.url
            FROM {rows} WHERE payouts.id = rows.id
            """, rows)
        try moveCounts(in: db)
    }

    private func moveCounts(in db: any SQLConnection) throws {
        var rows = SQLRows([("merchant_id", .int), ("seq", .int), ("old", .int), ("new", .int)])
        for payout in payouts {
            guard let from = payout.from, from != payout.to else { continue }
            rows.append([.int(payout.merchantID), .int(payout.latestSeq), .int(from), .int(payout.to)])
        }
        var counts = MatchCounts()
        try db.batch(
            """
            SELECT c.merchant_id, c.status_id, c.changed_s, n.acked_at, rows.old, rows.new, c.notification_id
            FROM status_changes c LEFT JOIN notifications n ON n.id = c.notification_id, {rows}
            WHERE c.merchant_id = rows.merchant_id AND c.seq = rows.seq AND c.superseded_seq IS NULL
            """, rows
        ) { row in
            if row.isNull(6) { return }
            guard let status = PayoutStatus(id: row.int(1)) else { throw StoreError.failed("unknown status") }
            let unacked: Int64 = row.isNull(3) ? 1 : 0
            for (receiverID, sign) in [(row.int(4), Int64(-1)), (row.int(5), 1)] {
                counts.add(
                    row.int(0), status, receiverID: receiverID, second: row.int(2), current: sign,
                    unacked: sign * unacked)
            }
        }
        try counts.save(in: db)
    }
}

/// Open deliveries that follow their payouts to another receiver, lane and due time kept; one that is under way goes
/// there with its next attempt.
struct FollowingDeliveries {
    private var rows = SQLRows([("merchant_id", .int), ("id", .int), ("queue_id", .int)])
    private var wakes = QueueWakes()
    private let merchantID: Int64

    init(merchantID: Int64) {
        self.merchantID = merchantID
    }

    var count: Int { rows.count }

    mutating func add(id: Int64, queue: QueueID, due: Timestamp, to receiverID: Int64) {
        let target = QueueID(receiverID: receiverID, lane: queue.lane)
        rows.append([.int(merchantID), .int(id), .int(target.raw)])
        wakes.add(merchantID, target, due: due)
    }

    func save(in db: any SQLConnection) throws {
        if rows.isEmpty { return }
        // Queues before deliveries, as claims lock them.
        try wakes.save(in: db)
        try db.send(MovedDeliveries.move, rows)
    }
}
