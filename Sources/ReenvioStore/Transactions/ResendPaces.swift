import ReenvioModel

/// The paces of resends as they stand in their rows (`docs/contract.md` 13.6): one sequence of slots for all nodes.
enum ResendPaces {
    /// The first free slot of resend `r`. The windows of a batch share one sequence for each merchant.
    static let nextSlot = """
        CASE WHEN r.max_per_second IS NULL OR r.batch_id IS NULL THEN r.next_slot
            ELSE (SELECT max(e.next_slot) FROM resends e
                WHERE e.batch_id = r.batch_id AND e.merchant_id = r.merchant_id) END
        """

    /// Takes slots for new deliveries; nil where the resend has no pace.
    static func take(
        _ count: Int, of resend: RunningResend, from start: Timestamp, in db: any SQLConnection
    ) throws -> [Timestamp]? {
        guard var pace = resend.pace else { return nil }
        let slots = pace.take(count, from: start)
        try save(pace, resendID: resend.id, in: db)
        return slots
    }

    /// Puts off deliveries that have no slot any more. The first ones take the next slots; the others come due where
    /// they would be if each took one, and take theirs then.
    /// - Parameters:
    ///   - ids: of deliveries of that resend, those due for longest first.
    ///   - count: how many take a slot now.
    static func putOff(
        _ ids: [Int64], taking count: Int, merchantID: Int64, resendID: Int64, now: Timestamp, in db: any SQLConnection
    ) throws {
        // While another node enqueues more of it, which it does before it takes locks that are held here, they stay
        // where they are, and are met again.
        let stored = try db.first(
            "SELECT r.max_per_second, \(nextSlot) FROM resends r WHERE r.id = $1 FOR UPDATE SKIP LOCKED",
            [.int(resendID)]
        ) { row in row.intIfPresent(0).map { PaceSlots(perSecond: $0, next: row.timeIfPresent(1)) } }
        guard var pace = stored ?? nil else { return }
        let slots = pace.take(count, from: now)
        if count > 0 { try save(pace, resendID: resendID, in: db) }
        // Not at once in any case: what has to wait for its turn is not to be met again in the next claim.
        let later = pace.take(ids.count - count, from: now + PaceSlots.turnsAfter)
        var rows = SQLRows([("merchant_id", .int), ("id", .int), ("due", .int), ("slot", .int)], reserving: ids.count)
        for (index, (id, due)) in zip(ids, slots + later).enumerated() {
            rows.append([.int(merchantID), .int(id), .time(due), .bool(index < count)])
        }
        try db.send(
            """
            UPDATE deliveries SET due_at = rows.due, has_slot = rows.slot FROM {rows}
            WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
            """, rows)
    }

    private static func save(_ pace: PaceSlots, resendID: Int64, in db: any SQLConnection) throws {
        try db.run("UPDATE resends SET next_slot = $2 WHERE id = $1", [.int(resendID), .time(pace.next)])
    }
}
