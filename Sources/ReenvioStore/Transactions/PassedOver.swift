import ReenvioModel

/// The resends met in one claim, looked up once each.
package struct ClaimedResends: Sendable {
    /// So many are remembered from one claim to the next.
    private static let keptMax = 256

    struct Found: Sendable {
        var id: Int64
        /// The job id of v2, the log's id in v3.
        var name: String
        var isPaced: Bool
        var onlyUnacknowledged: Bool
        /// That of whoever asked for it.
        var trace: TraceParent?
    }

    private var known: [Int64: Found?] = [:]

    package init() {}

    mutating func find(_ id: Int64, in db: any SQLConnection) throws -> Found? {
        if let found = known[id] { return found }
        if known.count >= Self.keptMax { known = [:] }
        let found = try db.first(
            """
            SELECT coalesce(public_id, CAST(id AS TEXT)), max_per_second IS NOT NULL, only_unacked, trace FROM resends
            WHERE id = $1
            """, [.int(id)]
        ) { row in
            Found(
                id: id, name: row.text(0), isPaced: row.bool(1), onlyUnacknowledged: row.bool(2),
                trace: row.blobIfPresent(3).flatMap(TraceParent.init(bytes:)))
        }
        known[id] = .some(found)
        return found
    }
}

/// Deliveries of resends that a claim met in a queue and that do not go out now: those of one canceled a moment ago,
/// those acknowledged meanwhile where only others were asked for (`docs/contract.md` 13.5), and those that have no slot
/// of their resend's pace (13.6).
struct PassedOver {
    private let candidate: Turns.Candidate
    private let order: ClaimOrder
    /// Deliveries that the claim may take from the queue.
    private let room: Int
    private let isProbe: Bool
    private let canceled: Set<Int64>
    private var dropped = SQLRows(Self.columns)
    private var acknowledged = SQLRows(Self.columns)
    /// Those of paced resends, due for longest first: retries that have come due, and what has lost its slot.
    private struct Paced {
        var retries: [Int64] = []
        var late: [Int64] = []
    }

    private var paced: [Int64: Paced] = [:]

    init(_ candidate: Turns.Candidate, _ order: ClaimOrder, room: Int, isProbe: Bool, canceled: Set<Int64>) {
        self.candidate = candidate
        self.order = order
        self.room = room
        self.isProbe = isProbe
        self.canceled = canceled
    }

    var count: Int {
        dropped.count + acknowledged.count + paced.values.reduce(0) { $0 + $1.retries.count + $1.late.count }
    }

    /// Whether the delivery of a row of `ClaimDeliveries.load` is one of them.
    mutating func takes(_ row: any SQLRow, of resend: ClaimedResends.Found) -> Bool {
        let key: [SQLValue] = [.int(candidate.merchantID), .int(row.int(0))]
        if canceled.contains(resend.id) {
            dropped.append(key)
            return true
        }
        if resend.onlyUnacknowledged, row.bool(19) {
            acknowledged.append(key)
            return true
        }
        // A probe is one attempt in seconds, and the receiver's way back.
        guard resend.isPaced, !isProbe else { return false }
        let isOnTime = PaceSlots.isFresh(due: row.time(18), now: order.now)
        if isOnTime, row.bool(17) { return false }
        if isOnTime, row.int(1) > 0 {
            paced[resend.id, default: Paced()].retries.append(row.int(0))
        } else {
            paced[resend.id, default: Paced()].late.append(row.int(0))
        }
        return true
    }

    mutating func save(in db: any SQLConnection) throws {
        try end(dropped, .canceled, counts: false, in: db)
        try end(acknowledged, .acknowledgedElsewhere, counts: true, in: db)
        for (resendID, met) in paced.sorted(by: { $0.key < $1.key }) {
            var late = met.late
            var taking = met.retries.count
            if !late.isEmpty {
                taking += max(0, min(room - (try slotsTaken(by: resendID, in: db)) - taking, late.count))
                late += try lost(of: resendID, besides: Set(late), in: db)
            }
            try ResendPaces.putOff(
                met.retries + late, taking: taking, merchantID: candidate.merchantID, resendID: resendID,
                now: order.now, in: db)
        }
    }

    /// More of them whose slots are lost, so that what waited behind a pause does not have to be met piece by piece.
    private func lost(of resendID: Int64, besides met: Set<Int64>, in db: any SQLConnection) throws -> [Int64] {
        try db.all(
            """
            SELECT id FROM deliveries
            WHERE merchant_id = $1 AND queue_id = $2 AND due_at < $3 AND resend_id = $4 AND claim_token IS NULL
            ORDER BY due_at, id LIMIT $5
            """,
            [
                .int(candidate.merchantID), .int(candidate.queue.raw),
                .time(PaceSlots.oldestFresh(now: order.now)), .int(resendID), .int(Limits.slotsRenewed),
            ]
        ) { $0.int(0) }.filter { !met.contains($0) }
    }

    /// Slots that the resend's deliveries in this queue have and may still use. A receiver that is slower than the pace
    /// takes no more of them than it has room for: they would be lost to it, and to all others.
    private func slotsTaken(by resendID: Int64, in db: any SQLConnection) throws -> Int {
        try db.first(
            """
            SELECT count(*) FROM (
                SELECT 1 FROM deliveries
                WHERE merchant_id = $1 AND queue_id = $2 AND due_at >= $3 AND resend_id = $4 AND has_slot = 1
                LIMIT $5) AS taken
            """,
            [
                .int(candidate.merchantID), .int(candidate.queue.raw),
                .time(PaceSlots.oldestFresh(now: order.now)), .int(resendID), .int(room),
            ]
        ) { Int($0.int(0)) } ?? 0
    }

    private func end(_ rows: SQLRows, _ reason: AttemptFailure, counts: Bool, in db: any SQLConnection) throws {
        if rows.isEmpty { return }
        var ended = EndedDeliveries(now: order.wall, counts: counts)
        try db.batch(
            CanceledJobs.load + """
                 deliveries d LEFT JOIN payouts p ON p.id = d.payout_id, {rows}
                WHERE d.merchant_id = rows.merchant_id AND d.id = rows.id
                """, rows
        ) { ended.add($0, end: .skipped, reason: reason) }
        try ended.save(in: db)
    }

    private static let columns: [(name: String, type: SQLRows.ColumnType)] = [("merchant_id", .int), ("id", .int)]
}
