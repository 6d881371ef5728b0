import ReenvioModel

/// Forgets ended deliveries row by row, where no piece of time is dropped with them: on SQLite all of them, on
/// PostgreSQL what is older than the pieces or has the time of none. There is no index on time, which every delivery
/// would pay for, so the rows are walked by key, once a day, a bounded piece at a time.
struct SweepDeliveries {
    /// How far a walk is; nil between two of them.
    struct Position: Sendable, Equatable {
        /// The table that is walked, among `tables`.
        var table = 0
        var merchantID: Int64 = 0
        var objectID: Int64 = 0
        var deliveryID: Int64 = 0
    }

    let cutoff: Timestamp
    let today: Int64

    init(cutoff: Timestamp, now: Timestamp) {
        self.cutoff = cutoff
        today = now.seconds / 86_400
    }

    /// Goes on from `position`, and begins a walk where none was begun today; how many rows are gone.
    func run(_ position: inout SweepPosition, in db: any SQLConnection) throws -> Int {
        if position.ended == nil {
            guard position.endedWalkedOn != today, try mayHoldSomething(in: db) else { return 0 }
            position.endedWalkedOn = today
            position.ended = Position()
        }
        guard var walk = position.ended else { return 0 }
        let tables = try Self.tables(in: db)
        guard tables.indices.contains(walk.table) else {
            position.ended = nil
            return 0
        }
        let deleted = try step(&walk, tables[walk.table], in: db)
        position.ended = walk
        return deleted
    }

    private static func tables(in db: any SQLConnection) throws -> [String] {
        let cut = TimePieces.settled
        guard db.dialect.cutsHistories else { return [cut.table] }
        return try cut.pieces(in: db).filter { $0.from == nil }.map(\.name) + [cut.rest]
    }

    /// Deliveries are numbered as time goes by: without a mark from then there is nothing so old.
    private func mayHoldSomething(in db: any SQLConnection) throws -> Bool {
        try db.first("SELECT 1 FROM delivery_marks WHERE day <= $1 LIMIT 1", [.int(cutoff.seconds / 86_400)]) {
            $0.int(0)
        } != nil
    }

    private func step(_ walk: inout Position, _ table: String, in db: any SQLConnection) throws -> Int {
        var seen = 0
        var last = walk
        var rows = SQLRows([("merchant_id", .int), ("object_id", .int), ("delivery_id", .int)])
        try db.query(
            """
            SELECT s.merchant_id, s.object_id, s.delivery_id, s.ended_at,
                CASE WHEN (SELECT r.id FROM resends r WHERE r.id = s.resend_id) IS NULL THEN 0 ELSE 1 END
            FROM \(table) s WHERE (s.merchant_id, s.object_id, s.delivery_id) > ($1, $2, $3)
            ORDER BY s.merchant_id, s.object_id, s.delivery_id LIMIT $4
            """,
            [.int(walk.merchantID), .int(walk.objectID), .int(walk.deliveryID), .int(Store.sweepMax)]
        ) { row in
            seen += 1
            (last.merchantID, last.objectID, last.deliveryID) = (row.int(0), row.int(1), row.int(2))
            guard row.time(3) < cutoff, !row.bool(4) else { return }
            rows.append([.int(row.int(0)), .int(row.int(1)), .int(row.int(2))])
        }
        walk = seen < Store.sweepMax ? Position(table: walk.table + 1) : last
        if rows.isEmpty { return 0 }
        try ForgottenDeliveries.note(endedBefore: cutoff, in: db)
        return try db.changes(
            """
            DELETE FROM \(table) USING {rows}
            WHERE \(table).merchant_id = rows.merchant_id AND \(table).object_id = rows.object_id
                AND \(table).delivery_id = rows.delivery_id
            """, rows)
    }
}
