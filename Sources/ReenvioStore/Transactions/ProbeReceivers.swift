import ReenvioModel

/// Ends holds whose time has come, and claims deliveries of broken receivers as probes (`docs/contract.md` 3.4). Which
/// delivery is a probe, and when, is `Breaker`'s to say.
enum ProbeReceivers {
    /// Most receivers that one claim looks at; the others come up in the next.
    private static let receiversPerClaim = 64
    /// Due deliveries of each lane that are looked at for another URL, and of the live ones those that came last.
    private static let candidatesPerLane = 32
    private static let newestCandidates = 160
    /// When a broken receiver without open deliveries is looked at again.
    private static let idleWait: Duration = .seconds(300)

    static func run(_ order: ClaimOrder, into result: inout ClaimResult, in db: any SQLConnection) throws {
        var room = order.probesMax
        let limit = min(receiversPerClaim, room)
        for before in try ReceiverStates.resuming(now: order.now, limit: limit, in: db) where room > 0 {
            if order.withoutProbes.contains(before.id) { continue }
            do {
                room -= try look(at: before, atMost: room, order, into: &result, in: db)
            } catch StoreError.failed(let why) {
                throw ProbeBroken(receiverID: before.id, merchantID: before.merchantID, why: why)
            }
        }
    }

    /// Returns how many probes start.
    private static func look(
        at before: ReceiverState, atMost room: Int, _ order: ClaimOrder, into result: inout ClaimResult,
        in db: any SQLConnection
    ) throws -> Int {
        var state = before
        var started = 0
        if state.breaker == nil {
            state.heldUntil = nil
        } else {
            started = try probe(&state, atMost: room, order, into: &result, in: db)
        }
        try state.save(before: before, wall: order.wall, in: db)
        return started
    }

    /// Returns how many probes start.
    private static func probe(
        _ state: inout ReceiverState, atMost room: Int, _ order: ClaimOrder, into result: inout ClaimResult,
        in db: any SQLConnection
    ) throws -> Int {
        state.lookAt = nil
        guard let breaker = state.breaker, breaker.heldUntil ?? order.now <= order.now else { return 0 }
        let candidates = try candidates(state, order.now, in: db)
        let chosen = breaker.probes(among: candidates, at: order.now)
        if breaker.nextArrivalProbe > order.now, !breaker.arrivalProbes(among: candidates).isEmpty {
            state.lookAt = breaker.nextArrivalProbe
        }
        var started = 0
        for (candidate, occasion) in chosen.prefix(room)
        where try claim(candidate, occasion, of: state, order, into: &result, in: db) {
            state.breaker?.probe(occasion, at: order.now, leaseUntil: order.leaseUntil)
            started += 1
        }
        if started == 0, breaker.nextProbe <= order.now, state.lookAt == nil {
            // Nothing is due, or what was due need not be sent any more: what comes in brings the next look forward.
            state.lookAt =
                chosen.isEmpty
                ? try ReceiverStates.earliestDue(state, in: db) ?? order.now + idleWait : order.now + .milliseconds(10)
        }
        return started
    }

    private static func claim(
        _ candidate: Breaker.Candidate, _ occasion: Breaker.Occasion, of state: ReceiverState, _ order: ClaimOrder,
        into result: inout ClaimResult, in db: any SQLConnection
    ) throws -> Bool {
        let queue = QueueID(receiverID: state.id, lane: candidate.lane)
        let before = ClaimCursors.Position(due: candidate.due, id: candidate.id - 1)
        let part = ClaimBatch.Part(
            Turns.Candidate(merchantID: state.merchantID, queue: queue), probe: occasion, after: before, order)
        let known = result.deliveries.count + result.sealedEvents.count
        try ClaimBatch([part], order).run(into: &result, in: db)
        result.queues.append((state.merchantID, queue, false))
        return result.deliveries.count + result.sealedEvents.count > known
    }

    private static func candidates(
        _ state: ReceiverState, _ now: Timestamp, in db: any SQLConnection
    ) throws -> [Breaker.Candidate] {
        var found: [Int64: Breaker.Candidate] = [:]
        let looks = Lane.allCases.map { ($0, oldest, candidatesPerLane) } + [(.live, newest, newestCandidates)]
        for (lane, sql, most) in looks {
            let queue = QueueID(receiverID: state.id, lane: lane)
            try db.query(sql, [.int(state.merchantID), .int(queue.raw), .time(now), .int(most)]) { row in
                found[row.int(0)] = Breaker.Candidate(
                    id: row.int(0), lane: lane, due: row.time(1),
                    url: ReceiverURL.fingerprint(of: row.textIfPresent(2) ?? ""))
            }
        }
        return Array(found.values)
    }

    private static let oldest = due(order: "d.due_at, d.id")
    private static let newest = due(order: "d.due_at DESC, d.id DESC")

    private static func due(order: String) -> String {
        """
        SELECT d.id, d.due_at, coalesce(g.url, p.notification_url) FROM deliveries d
        LEFT JOIN payouts p ON p.id = d.payout_id
        LEFT JOIN registrations g ON g.merchant_id = d.merchant_id AND g.id = d.registration_id
        WHERE d.merchant_id = $1 AND d.queue_id = $2 AND d.due_at <= $3 ORDER BY \(order) LIMIT $4
        """
    }
}
