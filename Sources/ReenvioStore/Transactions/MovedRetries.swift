import ReenvioModel

/// Retries of deliveries that moved to another receiver during their attempt: they wait there, in the lane that the
/// attempt decided. Any other retry whose row was not found is a late result.
struct MovedRetries {
    struct Retry {
        var claimed: ClaimedDelivery
        /// Where it would wait at the receiver that it was claimed from.
        var queue: QueueID
        var due: Timestamp
        var givenBack: Int
    }

    private let retries: [Retry]

    init(_ retries: [Retry]) {
        self.retries = retries
    }

    /// - Returns: how many are late results.
    func save(_ wakes: inout QueueWakes, in db: any SQLConnection) throws -> Int {
        var rows = SQLRows([("position", .int), ("merchant_id", .int), ("id", .int), ("token", .int)])
        for (position, retry) in retries.enumerated() {
            rows.append([
                .int(position), .int(retry.claimed.merchantID), .int(retry.claimed.id), .int(retry.claimed.token),
            ])
        }
        var moved = SQLRows([
            ("merchant_id", .int), ("id", .int), ("token", .int), ("queue_id", .int), ("due", .int),
            ("given_back", .int),
        ])
        try db.batch(Self.find, rows) { row in
            guard let now = QueueID(raw: row.int(1)) else { return }
            let retry = retries[Int(row.int(0))]
            let queue = QueueID(receiverID: now.receiverID, lane: retry.queue.lane)
            moved.append([
                .int(retry.claimed.merchantID), .int(retry.claimed.id), .int(retry.claimed.token), .int(queue.raw),
                .time(retry.due), .int(retry.givenBack),
            ])
            wakes.add(retry.claimed.merchantID, queue, due: retry.due)
        }
        let written = try db.effects(Self.update, moved).count { $0 }
        return retries.count - written
    }

    private static let find = """
        SELECT rows.position, d.queue_id FROM deliveries d, {rows}
        WHERE d.merchant_id = rows.merchant_id AND d.id = rows.id AND d.claim_token = rows.token
        """

    private static let update = """
        UPDATE deliveries SET queue_id = rows.queue_id, due_at = rows.due, claim_token = NULL,
            attempts = deliveries.attempts - rows.given_back, has_slot = rows.given_back
        FROM {rows}
        WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
            AND deliveries.claim_token = rows.token
        """
}
