package import ReenvioModel

/// Where a walk through the open deliveries stands: behind this one.
package struct DeliveryPlace: Sendable, Equatable {
    var merchantID: Int64
    var id: Int64
}

/// A part of the open deliveries, counted by lane.
package struct BacklogPart: Sendable, Equatable {
    package var counts: [Lane: Int64] = [:]
    /// Where the next part begins; nil at the end.
    package var next: DeliveryPlace?
}

/// Counts the open deliveries part by part, so that no read counts them all: a backlog of up to a part is counted whole
/// each time, a larger one over several times.
package struct BacklogWalk: Sendable {
    /// Where the next part begins; nil for the beginning.
    package private(set) var place: DeliveryPlace?
    private var counted: [Lane: Int64] = [:]
    private var whole: [Lane: Int64] = [:]

    package init() {}

    package mutating func take(_ part: BacklogPart) {
        counted.merge(part.counts, uniquingKeysWith: +)
        place = part.next
        guard place == nil else { return }
        whole = counted
        counted = [:]
    }

    /// The last whole count, or what has been counted since where that is more.
    package func shown(_ lane: Lane) -> Int64 {
        max(whole[lane] ?? 0, counted[lane] ?? 0)
    }
}

/// What became of the items of the newest resends.
package struct ResendItems: Sendable, Equatable {
    package enum State: String, CaseIterable, Sendable {
        /// Matched, and not yet enqueued.
        case waiting
        /// Enqueued, and not yet ended.
        case pending
        case delivered, undelivered, skipped
        /// Could not be enqueued.
        case failed
    }

    private var counts: [State: Int64] = [:]

    package subscript(state: State) -> Int64 {
        get { counts[state] ?? 0 }
        set { counts[state] = newValue }
    }
}

/// What the metrics show of the store.
package struct StoreMeasures: Sendable {
    package var backlog: BacklogPart
    /// Engine time at which the delivery that has been due for longest came due; none where nothing is due.
    package var oldestDue: [Lane: Timestamp]
    package var resendItems: ResendItems
    /// Rows and pages that are passed over, as far as they are counted.
    package var setAside: Int64
}

extension Store {
    /// Open deliveries that one read counts.
    package static let measuredPart = 50_000
    /// Queues of a lane among which the oldest due delivery is looked for, and resends whose items are summed.
    private static let queuesMeasured = 256
    private static let resendsMeasured = 1_000
    private static let setAsideMeasured = 10_000
    /// A queue with more work than its receiver has slots for is put off a little: it may be due all the same.
    private static let putOff: Duration = .seconds(3)

    /// Figures for the metrics, in one snapshot and bounded whatever the backlog: `part` of the open deliveries from
    /// `place` on, the queues that have been due for longest, the newest resends. `now` is engine time.
    package func measure(
        from place: DeliveryPlace?, now: Timestamp, part: Int = measuredPart
    ) async throws -> StoreMeasures {
        try await engine.read { db in
            var oldest: [Lane: Timestamp] = [:]
            for lane in Lane.allCases { oldest[lane] = try Self.oldestDue(lane, now: now, in: db) }
            return StoreMeasures(
                backlog: try Self.count(from: place, part, in: db), oldestDue: oldest,
                resendItems: try Self.resendItems(in: db), setAside: try Self.setAside(now: now, in: db))
        }
    }

    private static func setAside(now: Timestamp, in db: any SQLConnection) throws -> Int64 {
        try db.first(
            "SELECT count(*) FROM (SELECT 1 FROM set_aside WHERE until_at >= $1 LIMIT $2) AS found",
            [.time(now), .int(setAsideMeasured)]
        ) { $0.int(0) } ?? 0
    }

    private static func count(
        from place: DeliveryPlace?, _ size: Int, in db: any SQLConnection
    ) throws -> BacklogPart {
        var part = BacklogPart()
        let from: [SQLValue] = [.int(place?.merchantID ?? .min), .int(place?.id ?? .min)]
        part.next = try db.first(
            """
            SELECT merchant_id, id FROM deliveries WHERE (merchant_id, id) > ($1, $2)
            ORDER BY merchant_id, id LIMIT 1 OFFSET $3
            """, from + [.int(size - 1)]
        ) { DeliveryPlace(merchantID: $0.int(0), id: $0.int(1)) }
        try db.query(
            """
            SELECT queue_id % 4, count(*) FROM deliveries
            WHERE (merchant_id, id) > ($1, $2) AND (merchant_id, id) <= ($3, $4) GROUP BY queue_id % 4
            """, from + [.int(part.next?.merchantID ?? .max), .int(part.next?.id ?? .max)]
        ) { row in
            guard let lane = Lane(rawValue: Int(row.int(0))) else { return }
            part.counts[lane] = row.int(1)
        }
        return part
    }

    private static func oldestDue(_ lane: Lane, now: Timestamp, in db: any SQLConnection) throws -> Timestamp? {
        let due = try db.first(
            """
            SELECT min((
                SELECT min(d.due_at) FROM deliveries d WHERE d.merchant_id = q.merchant_id AND d.queue_id = q.id))
            FROM (SELECT merchant_id, id FROM queues WHERE parked = 0 AND lane = $1 AND next_due <= $2
                ORDER BY next_due LIMIT $3) AS q
            """, [.int(lane.rawValue), .time(now + putOff), .int(queuesMeasured)]
        ) { $0.timeIfPresent(0) }
        guard let due = due ?? nil, due <= now else { return nil }
        return due
    }

    private static func resendItems(in db: any SQLConnection) throws -> ResendItems {
        var items = ResendItems()
        try db.query(
            """
            SELECT coalesce(sum(CASE WHEN state = 'processing' THEN total - queued - failed ELSE 0 END), 0),
                coalesce(sum(queued), 0), coalesce(sum(failed), 0)
            FROM (SELECT state, total, queued, failed FROM resends ORDER BY id DESC LIMIT $1) AS newest
            """, [.int(resendsMeasured)]
        ) { row in
            items[.waiting] = row.int(0)
            items[.pending] = row.int(1)
            items[.failed] = row.int(2)
        }
        try db.query(
            """
            SELECT coalesce(sum(t.delivered), 0), coalesce(sum(t.undelivered), 0), coalesce(sum(t.skipped), 0)
            FROM (SELECT merchant_id, id FROM resends ORDER BY id DESC LIMIT $1) AS newest
            JOIN resend_tallies t ON t.merchant_id = newest.merchant_id AND t.resend_id = newest.id
            """, [.int(resendsMeasured)]
        ) { row in
            items[.delivered] = row.int(0)
            items[.undelivered] = row.int(1)
            items[.skipped] = row.int(2)
        }
        items[.pending] -= items[.delivered] + items[.undelivered] + items[.skipped]
        return items
    }
}
