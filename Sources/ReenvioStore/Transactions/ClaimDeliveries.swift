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
    /// Wall time, which dates changes of a receiver's health.
    package var wall: Timestamp
    /// What earlier claims of this node have read of resends; none of it changes.
    package var resends = ClaimedResends()
    /// How far they came in each queue.
    package var cursors = ClaimCursors()
    /// Most probes of broken receivers to start.
    package var probesMax = Limits.probesInFlight
    /// What may be claimed ahead of deliveries to URLs that hang.
    package var overtaking: [HungURLs.Overtaking] = []

    /// Whether engine time is stored with what is claimed now, and even where nothing is claimed but something is open.
    package var storesTime = false
    package var storesTimeIdle = false
    /// Queues to claim from; nil: from every one.
    package var only: Set<Turns.Candidate>?
    /// Queues and receivers that could not be read and are passed over.
    package var without: Set<Turns.Candidate> = []
    package var withoutProbes: Set<Int64> = []

    package init(now: Timestamp, wall: Timestamp? = nil, leaseUntil: Timestamp, token: Int64, turns: Turns) {
        self.now = now
        self.wall = wall ?? now
        self.leaseUntil = leaseUntil
        self.token = token
        self.turns = turns
    }

    /// Whether it may claim from a queue.
    func takes(_ candidate: Turns.Candidate) -> Bool {
        !without.contains(candidate) && only?.contains(candidate) ?? true
    }
}

/// A broken receiver that cannot be looked at, whatever is claimed beside it.
package struct ProbeBroken: Error, Equatable {
    package var receiverID: Int64
    package var merchantID: Int64
    package var why: String
}

package struct ClaimResult: Sendable {
    package var deliveries: [ClaimedDelivery] = []
    /// The queues that were looked at, with whether they still hold due work.
    package var queues: [(merchantID: Int64, queue: QueueID, hasMore: Bool)] = []
    /// The turns after this claim, for the rotation to go on from.
    package var turns: Turns?
    /// When the next queue or receiver comes due; nil when none waits. Engine time.
    package var nextDue: Timestamp?
    /// Claimed events of v3 that could not be opened; they come due again when their leases end.
    package var unreadable = 0
    /// Deliveries that were leased and cannot be sent: their message is gone or cannot be opened.
    package var damaged: [Damaged] = []
    /// Jobs that were canceled a moment ago: nothing of them may begin.
    package var canceled: Set<Int64> = []
    /// Due deliveries that were not claimed: their resend's pace has put them off, or they need not be sent any more.
    package var passedOver = 0
    /// Claimed events of v3, still sealed.
    var sealedEvents: [SealedEvent] = []
    /// Deliveries claimed now whose last claim ended without a result: its node is gone, or was too slow.
    package var abandoned = 0
    package var resends = ClaimedResends()
    package var cursors = ClaimCursors()
    /// What was claimed ahead of others, by receiver, with the fingerprints of the URLs, and how far was looked for it.
    package var ahead: [(receiverID: Int64, deliveries: [Int64: Int64], lookedTo: HungURLs.Place?)] = []
    package var hasStoredTime = false

    package struct Damaged: Sendable, Equatable {
        package var merchantID: Int64
        package var deliveryID: Int64
        package var why: String
    }

    package init() {}
}

extension Store {
    /// The queues that a claim would look at now, for one that takes them one by one.
    package func claimable(_ order: ClaimOrder) async throws -> [Turns.Candidate] {
        try await engine.read { db in try ClaimDeliveries.candidates(order, in: db) }
    }
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
        result.resends = order.resends
        // Nothing that is dead stays in an index of SQLite.
        if db.dialect.hasRowLocks { result.cursors = order.cursors }
        result.canceled = Set(try CanceledJobs.sweeping(in: db))
        try ProbeReceivers.run(order, into: &result, in: db)
        var turns = order.turns
        for delivery in result.deliveries { turns.took(1, from: delivery.candidate, hasMore: false) }
        for event in result.sealedEvents { turns.took(1, from: event.candidate, hasMore: false) }
        try OvertakeHung.run(order, &turns, into: &result, in: db)
        let known = turns.backlogWithRoom(limit: queuesPerLane).filter(order.takes)
        let found = try dueQueues(order, besides: Set(known), in: db)
        let isAmple = turns.haveNothingToShare(known + found)
        let locked =
            db.dialect.hasRowLocks || isAmple
            ? try lock(known + found, known: Set(known), into: &result, in: db) : Locked(candidates: known + found)
        let candidates = locked.candidates
        let due =
            isAmple
            ? Dictionary(uniqueKeysWithValues: candidates.map { ($0, locked.parked.contains($0) ? 0 : unknown) })
            : try dueCounts(candidates, order.now, turns, &result.cursors, in: db)
        let grants = turns.grants(for: candidates, due: { due[$0] ?? 0 })
        let met = try ClaimBatch(grants.map { ClaimBatch.Part($0, order) }, order).run(into: &result, in: db)
        for grant in grants {
            let candidate = Turns.Candidate(merchantID: grant.merchantID, queue: grant.queue)
            // Not counted: there may be more where as many came as were asked for.
            let isLeft =
                due[candidate] == unknown
                ? (met[candidate] ?? 0) >= grant.count : (due[candidate] ?? 0) > grant.count
            result.queues.append((grant.merchantID, grant.queue, isLeft))
        }
        try moveQueues(result.queues.suffix(grants.count), locked, order, in: db)
        result.turns = turns
        // With something claimed the next claim follows at once.
        if result.deliveries.isEmpty, result.sealedEvents.isEmpty, result.passedOver == 0 {
            result.nextDue = try nextDue(countsReceivers: order.probesMax > 0, in: db)
        }
        try storeTime(order, &result, in: db)
        return result
    }

    /// Last of all: other nodes wait for this row.
    private static func storeTime(
        _ order: ClaimOrder, _ result: inout ClaimResult, in db: any SQLConnection
    ) throws {
        guard order.storesTime else { return }
        let isIdle = result.deliveries.isEmpty && result.sealedEvents.isEmpty
        if isIdle, try !order.storesTimeIdle || !EngineTimes.isNeeded(in: db) { return }
        try EngineTimes.note(order.now, ahead: order.now - order.wall, in: db)
        result.hasStoredTime = true
    }

    fileprivate static func candidates(_ order: ClaimOrder, in db: any SQLConnection) throws -> [Turns.Candidate] {
        let known = order.turns.backlogWithRoom(limit: queuesPerLane).filter(order.takes)
        return known + (try dueQueues(order, besides: Set(known), in: db))
    }

    /// Queues that this claim has to itself, as they stood when it got them.
    private struct Locked {
        var candidates: [Turns.Candidate] = []
        var parked: Set<Turns.Candidate> = []
        var nextDue: [Turns.Candidate: Timestamp] = [:]
    }

    /// Those queues that no other node claims from at this moment: what comes into them waits for this claim, and wakes
    /// them again; and which of them are parked. A queue that this node knows and that is gone, holds nothing more.
    private static func lock(
        _ candidates: [Turns.Candidate], known: Set<Turns.Candidate>, into result: inout ClaimResult,
        in db: any SQLConnection
    ) throws -> Locked {
        if candidates.isEmpty { return Locked() }
        var rows = SQLRows([("merchant_id", .int), ("id", .int)], reserving: candidates.count)
        for candidate in candidates { rows.append([.int(candidate.merchantID), .int(candidate.queue.raw)]) }
        var locked = Locked()
        var found: Set<Turns.Candidate> = []
        try db.batch(lockQueues, rows) { row in
            guard let queue = QueueID(raw: row.int(1)) else { return }
            let candidate = Turns.Candidate(merchantID: row.int(0), queue: queue)
            found.insert(candidate)
            if row.bool(2) { locked.parked.insert(candidate) }
            locked.nextDue[candidate] = row.time(3)
        }
        for candidate in known where !found.contains(candidate) {
            let isThere = try db.first(
                "SELECT 1 FROM queues WHERE merchant_id = $1 AND id = $2",
                [.int(candidate.merchantID), .int(candidate.queue.raw)]
            ) { $0.int(0) }
            if isThere == nil { result.queues.append((candidate.merchantID, candidate.queue, false)) }
        }
        locked.candidates = candidates.filter(found.contains)
        return locked
    }

    private static let lockQueues = """
        SELECT q.merchant_id, q.id, q.parked, q.next_due FROM queues q, {rows}
        WHERE q.merchant_id = rows.merchant_id AND q.id = rows.id
        ORDER BY q.merchant_id, q.id FOR UPDATE OF q SKIP LOCKED
        """

    /// Without room for probes the receivers that wait for one say nothing.
    private static func nextDue(countsReceivers: Bool, in db: any SQLConnection) throws -> Timestamp? {
        let columns = Lane.allCases.count + (countsReceivers ? 1 : 0)
        return try db.first(next) { row in (0..<columns).compactMap(row.timeIfPresent).min() }.flatMap { $0 }
    }

    /// Of each lane the first queue, and of the receivers the first that is to be looked at.
    private static let next =
        "SELECT "
        + (Lane.allCases.map { lane in
            """
            (SELECT next_due FROM queues WHERE parked = 0 AND lane = \(lane.rawValue) ORDER BY next_due LIMIT 1)
            """
        } + ["(\(ReceiverStates.nextResume))"]).joined(separator: ", ")

    /// Queues that are due by the store, whether or not this node has room for them: those it has none for are put off.
    private static func dueQueues(
        _ order: ClaimOrder, besides known: Set<Turns.Candidate>, in db: any SQLConnection
    ) throws -> [Turns.Candidate] {
        var due: [Turns.Candidate] = []
        var seen = known
        try db.query(dueByLane, [.time(order.now), .int(queuesPerLane)]) { row in
            guard let queue = QueueID(raw: row.int(1)) else { return }
            let candidate = Turns.Candidate(merchantID: row.int(0), queue: queue)
            if order.takes(candidate), seen.insert(candidate).inserted { due.append(candidate) }
        }
        return due
    }

    private static let dueByLane = Lane.allCases.map { lane in
        """
        SELECT merchant_id, id FROM (
            SELECT merchant_id, id FROM queues WHERE parked = 0 AND lane = \(lane.rawValue) AND next_due <= $1
            ORDER BY next_due LIMIT $2) AS lane_\(lane.rawValue)
        """
    }.joined(separator: " UNION ALL ")

    /// Where each may have all that its receiver bears there is nothing to share out, and nothing to count: counting
    /// passes by everything that was claimed a moment ago.
    private static let unknown = Int.max

    /// How many are due in each, no further than it matters; none in a queue that was parked meanwhile.
    private static func dueCounts(
        _ candidates: [Turns.Candidate], _ now: Timestamp, _ turns: Turns, _ cursors: inout ClaimCursors,
        in db: any SQLConnection
    ) throws -> [Turns.Candidate: Int] {
        var rows = SQLRows(
            [
                ("position", .int), ("merchant_id", .int), ("queue_id", .int), ("now", .int), ("most", .int),
                ("after_due", .int), ("after_id", .int),
            ],
            reserving: candidates.count)
        let most = candidates.map { turns.lookahead(of: $0, among: candidates.count) }
        for (position, candidate) in candidates.enumerated() {
            let start = cursors.start(of: candidate, at: now)
            rows.append([
                .int(position), .int(candidate.merchantID), .int(candidate.queue.raw), .time(now), .int(most[position]),
                .time(start.due), .int(start.id),
            ])
        }
        var due: [Turns.Candidate: Int] = [:]
        try db.batch(countDue, rows) { row in
            let position = Int(row.int(0))
            due[candidates[position]] = Int(row.int(1))
            if Int(row.int(1)) < most[position] { cursors.rewind(candidates[position]) }
        }
        return due
    }

    private static let countDue = """
        SELECT rows.position, (SELECT count(*) FROM (
            SELECT 1 FROM queues q
            JOIN deliveries d ON d.merchant_id = q.merchant_id AND d.queue_id = q.id AND d.due_at <= rows.now
                AND (d.due_at, d.id) > (rows.after_due, rows.after_id)
            WHERE q.merchant_id = rows.merchant_id AND q.id = rows.queue_id AND q.parked = 0 LIMIT rows.most) AS due)
        FROM {rows}
        """

    /// Sets when queues come due next: at their earliest delivery, leases included, or soon where work was left behind.
    private static func moveQueues(
        _ queues: some Sequence<(merchantID: Int64, queue: QueueID, hasMore: Bool)>, _ locked: Locked,
        _ order: ClaimOrder, in db: any SQLConnection
    ) throws {
        let key: [(name: String, type: SQLRows.ColumnType)] = [("merchant_id", .int), ("id", .int)]
        var busy = SQLRows(key + [("next", .int), ("now", .int)])
        var empty = SQLRows(key + [("never", .int)])
        for (merchantID, queue, hasMore) in queues {
            let key: [SQLValue] = [.int(merchantID), .int(queue.raw)]
            if hasMore {
                // It mostly stands there already, from the claim before.
                let next = locked.nextDue[Turns.Candidate(merchantID: merchantID, queue: queue)]
                if let next, next > order.now { continue }
                busy.append(key + [.time(order.now + revisitAfter), .time(order.now)])
            } else {
                empty.append(key + [.int(Int64.max)])
            }
        }
        try db.send(putOff, busy)
        try db.send(putToSleep, empty)
    }

    private static let putOff = """
        UPDATE queues SET next_due = rows.next FROM {rows}
        WHERE queues.merchant_id = rows.merchant_id AND queues.id = rows.id AND queues.next_due <= rows.now
        """

    private static let putToSleep = """
        UPDATE queues SET next_due = coalesce((SELECT min(d.due_at) FROM deliveries d
            WHERE d.merchant_id = rows.merchant_id AND d.queue_id = rows.id), rows.never)
        FROM {rows} WHERE queues.merchant_id = rows.merchant_id AND queues.id = rows.id
        """
}
