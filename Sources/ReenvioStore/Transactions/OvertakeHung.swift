import ReenvioModel

/// Claims live deliveries ahead of those to URLs that hang, where a receiver has no slot left. Which URLs, and how many
/// deliveries, is `HungURLs`' to say.
enum OvertakeHung {
    /// Due deliveries of a queue that one claim looks at; the next one goes on behind them.
    private static let lookedAt = 1_000

    static func run(
        _ order: ClaimOrder, _ turns: inout Turns, into result: inout ClaimResult, in db: any SQLConnection
    ) throws {
        for wanted in order.overtaking where order.takes(wanted.candidate) {
            let candidate = wanted.candidate
            let (chosen, last) = try find(wanted, now: order.now, in: db)
            var taken: [Int64: Int64] = [:]
            for place in chosen {
                let part = ClaimBatch.Part(
                    candidate, after: ClaimCursors.Position(due: place.due, id: place.id - 1), order)
                let known = (result.deliveries.count, result.sealedEvents.count)
                try ClaimBatch([part], order).run(into: &result, in: db)
                for delivery in result.deliveries.dropFirst(known.0) { taken[delivery.id] = delivery.urlFingerprint }
                for event in result.sealedEvents.dropFirst(known.1) {
                    taken[event.deliveryID] = ReceiverURL.fingerprint(of: event.url)
                }
            }
            for _ in taken { turns.took(1, from: candidate, hasMore: true) }
            if !taken.isEmpty { result.queues.append((candidate.merchantID, candidate.queue, true)) }
            result.ahead.append((candidate.queue.receiverID, taken, last))
        }
    }

    /// Returns the deliveries to other URLs, those due for longest first, and the last place that was looked at.
    private static func find(
        _ wanted: HungURLs.Overtaking, now: Timestamp, in db: any SQLConnection
    ) throws -> (chosen: [HungURLs.Place], last: HungURLs.Place?) {
        var chosen: [HungURLs.Place] = []
        var last = wanted.after
        let start = wanted.after.map { ClaimCursors.Position(due: $0.due, id: $0.id) } ?? .beginning
        try db.query(
            due,
            [
                .int(wanted.candidate.merchantID), .int(wanted.candidate.queue.raw), .time(now), .time(start.due),
                .int(start.id), .int(lookedAt),
            ]
        ) { row in
            guard chosen.count < wanted.room else { return }
            let place = HungURLs.Place(due: row.time(1), id: row.int(0))
            last = place
            if !wanted.hung.contains(ReceiverURL.fingerprint(of: row.textIfPresent(2) ?? "")) { chosen.append(place) }
        }
        return (chosen, last)
    }

    private static let due = """
        SELECT d.id, d.due_at, coalesce(g.url, p.notification_url) FROM queues q
        JOIN deliveries d ON d.merchant_id = q.merchant_id AND d.queue_id = q.id AND d.due_at <= $3
            AND (d.due_at, d.id) > ($4, $5)
        LEFT JOIN payouts p ON p.id = d.payout_id
        LEFT JOIN registrations g ON g.merchant_id = d.merchant_id AND g.id = d.registration_id
        WHERE q.merchant_id = $1 AND q.id = $2 AND q.parked = 0 ORDER BY d.due_at, d.id LIMIT $6
        """
}
