import ReenvioModel

/// The merchants' clocks inside one transaction (`docs/architecture.md`, rule 3). Locking them in ascending order makes
/// number order commit order and excludes deadlocks on both engines.
struct MerchantClocks {
    private var seqs: [Int64: Int64] = [:]

    /// Locks the clock of each merchant that exists. Must be called once, before anything else is locked.
    init(locking merchantIDs: some Sequence<Int64>, in db: any SQLConnection) throws {
        var rows = SQLRows([("id", .int)])
        for id in Set(merchantIDs).sorted() { rows.append([.int(id)]) }
        try db.batch(
            """
            SELECT c.merchant_id, c.seq FROM merchant_clocks c, {rows} WHERE c.merchant_id = rows.id
            ORDER BY c.merchant_id FOR UPDATE OF c
            """,
            rows
        ) { seqs[$0.int(0)] = $0.int(1) }
    }

    func isKnown(_ merchantID: Int64) -> Bool { seqs[merchantID] != nil }

    /// The number of the last change, of which a frozen set sees everything up to and including.
    func current(_ merchantID: Int64) -> Int64 { seqs[merchantID] ?? 0 }

    mutating func next(_ merchantID: Int64) -> Int64 {
        let next = current(merchantID) + 1
        seqs[merchantID] = next
        return next
    }

    func save(in db: any SQLConnection) throws {
        var rows = SQLRows([("id", .int), ("seq", .int)])
        for (id, seq) in seqs.sorted(by: { $0.key < $1.key }) { rows.append([.int(id), .int(seq)]) }
        try db.send("UPDATE merchant_clocks SET seq = rows.seq FROM {rows} WHERE merchant_id = rows.id", rows)
    }
}

/// The earliest due time of each queue touched by a transaction.
struct QueueWakes {
    private struct Key: Hashable {
        var merchantID: Int64
        var queue: QueueID
    }

    private var dues: [Key: Timestamp] = [:]

    var earliest: Timestamp? { dues.values.min() }

    mutating func add(_ merchantID: Int64, _ queue: QueueID, due: Timestamp) {
        let key = Key(merchantID: merchantID, queue: queue)
        dues[key] = min(dues[key] ?? due, due)
    }

    /// Creates the queues that are new, parked where their receiver is, and brings forward the next due time of the
    /// others.
    func save(in db: any SQLConnection) throws {
        if dues.isEmpty { return }
        let parked = try parkedReceivers(in: db)
        var rows = SQLRows([
            ("merchant_id", .int), ("id", .int), ("lane", .int), ("receiver_id", .int), ("due", .int), ("parked", .int),
        ])
        let sorted = dues.sorted { ($0.key.merchantID, $0.key.queue.raw) < ($1.key.merchantID, $1.key.queue.raw) }
        for (key, due) in sorted {
            rows.append([
                .int(key.merchantID), .int(key.queue.raw), .int(key.queue.lane.rawValue), .int(key.queue.receiverID),
                .time(due), .bool(parked.contains(key.queue.receiverID)),
            ])
        }
        try db.send(
            """
            INSERT INTO queues (merchant_id, id, lane, receiver_id, next_due, parked)
            SELECT rows.merchant_id, rows.id, rows.lane, rows.receiver_id, rows.due, rows.parked
            FROM {rows} WHERE true
            ON CONFLICT (merchant_id, id) DO UPDATE SET next_due =
                CASE WHEN excluded.next_due < queues.next_due THEN excluded.next_due ELSE queues.next_due END
            """,
            rows
        )
    }

    private func earliest(of receiverID: Int64, _ lanes: [Lane] = Lane.allCases) -> Timestamp? {
        lanes.flatMap { lane in
            dues.filter { $0.key.queue == QueueID(receiverID: receiverID, lane: lane) }.values
        }.min()
    }

    /// Those to which nothing may go now. A receiver is listed from its first delivery on (`docs/contract.md` 13.11),
    /// which is noted here.
    private func parkedReceivers(in db: any SQLConnection) throws -> Set<Int64> {
        var wanted = SQLRows([("id", .int)])
        for id in Set(dues.keys.map(\.queue.receiverID)).sorted() { wanted.append([.int(id)]) }
        var parked: Set<Int64> = []
        var unknown = SQLRows([("id", .int)])
        var sooner = SQLRows([("id", .int), ("at", .int)])
        try db.batch(
            """
            SELECT r.id, r.is_known, coalesce(r.paused_at, r.broken_at, r.resume_at) IS NOT NULL, r.probe_at,
                r.resume_at, coalesce(r.probed_at, r.broken_at), coalesce(r.held_until, 0)
            FROM receivers r, {rows} WHERE r.id = rows.id ORDER BY r.id FOR SHARE OF r
            """, wanted
        ) { row in
            if !row.bool(1) { unknown.append([.int(row.int(0))]) }
            if row.bool(2) { parked.insert(row.int(0)) }
            // A broken receiver that had nothing to be probed with has something now, and what is live need not wait
            // for the schedule (`Breaker.nextArrivalProbe`).
            guard let probeAt = row.timeIfPresent(3), let resumeAt = row.timeIfPresent(4),
                let probedAt = row.timeIfPresent(5)
            else { return }
            let waits = [
                earliest(of: row.int(0)).map { max($0, probeAt) },
                earliest(of: row.int(0), [.live]).map { max($0, probedAt + Breaker.arrivalWait) },
            ]
            guard let look = waits.compactMap({ $0 }).min(), max(look, row.time(6)) < resumeAt else { return }
            sooner.append([.int(row.int(0)), .time(max(look, row.time(6)))])
        }
        try db.send("UPDATE receivers SET resume_at = rows.at FROM {rows} WHERE receivers.id = rows.id", sooner)
        try db.send("UPDATE receivers SET is_known = 1 FROM {rows} WHERE receivers.id = rows.id", unknown)
        return parked
    }
}
