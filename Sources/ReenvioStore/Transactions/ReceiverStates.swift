package import ReenvioModel

/// Whether a receiver is paused, broken or held, and with it whether its queues are parked: parked queues cost nothing
/// (`docs/architecture.md`, rule 5).
struct ReceiverState: Equatable {
    let id: Int64
    let merchantID: Int64
    var pausedAt: Timestamp?
    var breaker: Breaker?
    /// The receiver asked to be left alone until then, engine time. That of a broken one is its breaker's.
    var heldUntil: Timestamp?
    /// When to look for something to probe with, where that is not when the next scheduled probe may go.
    var lookAt: Timestamp?
    /// The last acknowledgement that keeps its breaker closed, engine time (`MachineHealth`).
    var acknowledgedAt: Timestamp?
    var isSlow: Bool
    var since: Timestamp
    /// `resume_at` as it was read.
    private(set) var storedResumeAt: Timestamp?

    var isParked: Bool { pausedAt != nil || breaker != nil || heldUntil != nil }

    var health: ReceiverHealth {
        if pausedAt != nil { return .paused }
        if breaker != nil { return .broken }
        return isSlow || heldUntil != nil ? .slow : .ok
    }

    private var resumeAt: Timestamp? {
        guard let breaker else { return heldUntil }
        return max(lookAt ?? breaker.nextProbe, breaker.heldUntil ?? breaker.openedAt)
    }

    /// The columns of `init`, of receivers called `r`; how many they are.
    static let selected = """
        r.id, r.merchant_id, r.paused_at, r.broken_at, r.failed_probes, r.acked_probes, r.resume_at, r.is_slow,
            r.health_since, r.probe_at, r.held_until, r.probed_at, r.probing_since, r.failed_url, r.well_url, r.acked_at
        """
    static let selectedCount = 16

    static let columns = "SELECT \(selected) FROM receivers r"

    init(_ row: any SQLRow) {
        id = row.int(0)
        merchantID = row.int(1)
        pausedAt = row.timeIfPresent(2)
        isSlow = row.bool(7)
        since = row.time(8)
        acknowledgedAt = row.timeIfPresent(15)
        storedResumeAt = row.timeIfPresent(6)
        if let openedAt = row.timeIfPresent(3) {
            breaker = Breaker(
                openedAt: openedAt, failedProbes: Int(row.int(4)), acknowledgedProbes: Int(row.int(5)),
                nextProbe: row.timeIfPresent(9) ?? openedAt, heldUntil: row.timeIfPresent(10),
                probedAt: row.timeIfPresent(11), probingSince: row.timeIfPresent(12) ?? openedAt,
                failedURL: row.intIfPresent(13), wellURL: row.intIfPresent(14))
            lookAt = storedResumeAt
        } else {
            heldUntil = storedResumeAt
        }
    }

    static func load(_ id: Int64, in db: any SQLConnection) throws -> ReceiverState? {
        try db.first("\(columns) WHERE r.id = $1", [.int(id)], ReceiverState.init)
    }

    /// Nobody else changes it until the commit, nor makes a queue of it that does not know.
    static func lock(_ id: Int64, in db: any SQLConnection) throws -> ReceiverState? {
        try db.first("\(columns) WHERE r.id = $1 FOR UPDATE OF r", [.int(id)], ReceiverState.init)
    }

    /// Ends a pause: a broken one is probed at once, one that asked to be left alone is called again.
    mutating func resume(engineNow: Timestamp) {
        pausedAt = nil
        heldUntil = nil
        breaker?.heldUntil = nil
        breaker?.nextProbe = engineNow
        lookAt = nil
    }

    mutating func apply(_ change: ReceiverChange) {
        let now = change.at
        switch change.what {
        case .broke(_, let url): open(url, at: now)
        case .proved: acknowledgedAt = max(acknowledgedAt ?? now, now)
        case .probed(let signal, let occasion, let url): probed(signal, occasion, url, at: now)
        case .held(let until):
            if until > now { hold(until: until) }
        case .slow(let isSlow):
            self.isSlow = isSlow
        }
    }

    /// Opens its breaker, unless another node had an acknowledgement a moment ago. The first look for something to
    /// probe with is early: live deliveries may wait at URLs that never failed.
    private mutating func open(_ url: Int64?, at now: Timestamp) {
        guard breaker == nil, !MachineHealth.isProven(acknowledgedAt, at: now) else { return }
        var opened = Breaker(openedAt: now, failedURL: url)
        opened.heldUntil = heldUntil
        breaker = opened
        heldUntil = nil
        lookAt = opened.nextArrivalProbe
    }

    private mutating func probed(
        _ signal: AttemptOutcome.Signal, _ occasion: Breaker.Occasion, _ url: Int64?, at now: Timestamp
    ) {
        if signal == .acknowledged { acknowledgedAt = max(acknowledgedAt ?? now, now) }
        guard let open = breaker else { return }
        let isProven = MachineHealth.isProven(acknowledgedAt, at: now)
        breaker = open.after(signal, of: occasion, url: url, isProven: isProven, now: now)
        guard let after = breaker else {
            heldUntil = open.heldUntil.flatMap { $0 > now ? $0 : nil }
            lookAt = nil
            return
        }
        switch signal {
        case .acknowledged, .message: lookAt = after.nextProbe
        case .machine:
            // What arrived meanwhile keeps its earlier look.
            if occasion == .schedule, (lookAt ?? open.nextProbe) >= open.nextProbe { lookAt = after.nextProbe }
        }
    }

    private mutating func hold(until: Timestamp) {
        if var open = breaker {
            open.heldUntil = max(open.heldUntil ?? until, until)
            breaker = open
        } else {
            heldUntil = max(heldUntil ?? until, until)
        }
    }

    /// What the change meant, if it meant anything new.
    fileprivate func event(of change: ReceiverChange, before: ReceiverState) -> ReceiverEvent.What? {
        switch change.what {
        case .broke(let reason, _): before.breaker == nil && breaker != nil ? .opened(reason) : nil
        case .probed:
            if let open = before.breaker, breaker == nil { .closed(after: change.at - open.openedAt) } else { nil }
        case .held(let until): before.heldUntil == nil && heldUntil != nil ? .held(for: until - change.at) : nil
        case .slow, .proved: nil
        }
    }

    /// Writes what differs from `before`, and parks or opens the receiver's queues with it. `wall` dates a change of
    /// health.
    func save(before: ReceiverState, wall: Timestamp, in db: any SQLConnection) throws {
        if self == before { return }
        try db.run(
            """
            UPDATE receivers SET paused_at = $2, broken_at = $3, failed_probes = $4, acked_probes = $5, resume_at = $6,
                is_slow = $7, health_since = $8, probe_at = $9, held_until = $10, probed_at = $11, probing_since = $12,
                failed_url = $13, well_url = $14, acked_at = $15
            WHERE id = $1
            """,
            [
                .int(id), .optional(pausedAt), .optional(breaker?.openedAt), .int(breaker?.failedProbes ?? 0),
                .int(breaker?.acknowledgedProbes ?? 0), .optional(resumeAt), .bool(isSlow),
                .time(health == before.health ? since : wall), .optional(breaker?.nextProbe),
                .optional(breaker?.heldUntil), .optional(breaker?.probedAt), .optional(breaker?.probingSince),
                .optional(breaker?.failedURL), .optional(breaker?.wellURL), .optional(acknowledgedAt),
            ])
        guard isParked != before.isParked else { return }
        for lane in Lane.allCases {
            try db.run(
                isParked ? Self.park : Self.open,
                [.int(merchantID), .int(QueueID(receiverID: id, lane: lane).raw)])
        }
    }

    private static let park = "UPDATE queues SET parked = 1 WHERE merchant_id = $1 AND id = $2"

    /// The node that had put the queue off, to claim from it as slots came free, has forgotten it since: it is due when
    /// its earliest delivery is.
    private static let open = """
        UPDATE queues SET parked = 0, next_due = coalesce((SELECT min(d.due_at) FROM deliveries d
            WHERE d.merchant_id = $1 AND d.queue_id = $2), next_due)
        WHERE merchant_id = $1 AND id = $2
        """
}

/// What a commit changed of a receiver that somebody wants to read about in the log (`docs/logging.md`).
package struct ReceiverEvent: Sendable, Equatable {
    package enum What: Sendable, Equatable {
        /// Its breaker is open from now on; the reason is that of the last failure.
        case opened(AttemptFailure?)
        /// Enough probes were acknowledged. How long it was open.
        case closed(after: Duration)
        /// It asked to be left alone for so long.
        case held(for: Duration)
    }

    package var receiverID: Int64
    package var merchantID: Int64
    package var what: What

    package var isOpening: Bool { if case .opened = what { true } else { false } }
    package var isClosing: Bool { if case .closed = what { true } else { false } }
}

enum ReceiverStates {
    /// `wall` dates changes of health. Returns what began or ended with it; what was so before is no event.
    static func apply(
        _ changes: [ReceiverChange], wall: Timestamp, in db: any SQLConnection
    ) throws -> [ReceiverEvent] {
        var events: [ReceiverEvent] = []
        for (id, own) in Dictionary(grouping: changes, by: \.receiverID).sorted(by: { $0.key < $1.key }) {
            guard var state = try ReceiverState.lock(id, in: db) else { continue }
            let loaded = state
            for change in own {
                let before = state
                state.apply(change)
                if let what = state.event(of: change, before: before) {
                    events.append(ReceiverEvent(receiverID: id, merchantID: state.merchantID, what: what))
                }
            }
            try state.save(before: loaded, wall: wall, in: db)
        }
        return events
    }

    /// Receivers whose hold has ended, or whose next probe is due; bounded. Those that another node has in hand are
    /// left to it.
    static func resuming(now: Timestamp, limit: Int, in db: any SQLConnection) throws -> [ReceiverState] {
        try db.all(
            """
            \(ReceiverState.columns)
            WHERE r.resume_at <= $1 AND r.resume_at IS NOT NULL AND r.paused_at IS NULL
            ORDER BY r.resume_at LIMIT $2 FOR UPDATE OF r SKIP LOCKED
            """, [.time(now), .int(limit)], ReceiverState.init)
    }

    static let nextResume = """
        SELECT resume_at FROM receivers WHERE resume_at IS NOT NULL AND paused_at IS NULL ORDER BY resume_at LIMIT 1
        """

    /// When the next delivery of a receiver comes due; nil when none is open. Engine time.
    static func earliestDue(_ state: ReceiverState, in db: any SQLConnection) throws -> Timestamp? {
        try Lane.allCases.compactMap { lane in
            try db.first(
                "SELECT due_at FROM deliveries WHERE merchant_id = $1 AND queue_id = $2 ORDER BY due_at LIMIT 1",
                [.int(state.merchantID), .int(QueueID(receiverID: state.id, lane: lane).raw)]
            ) { $0.time(0) }
        }.min()
    }
}

extension Store {
    /// Pauses a receiver: what is accepted for it waits, nothing is dropped. A paused one stays as it is.
    /// - Returns: the receiver as it stands now; nil for one that the account does not own.
    package func pauseReceiver(
        id: Int64, accountID: Int64?, by requester: Requester, now: Timestamp
    ) async throws -> Receiver? {
        try await change(id, accountID, requester, "receiver.pause", wall: now) { state, heldAt in
            // What a hold paused is somebody's from now on, and stays when the hold ends.
            if state.pausedAt == nil || state.pausedAt == heldAt { state.pausedAt = now }
        }
    }

    /// Ends a pause. A broken receiver is probed at once, one that asked to be left alone is called again.
    /// - Parameter engineNow: engine time, at which the next probe may go.
    package func resumeReceiver(
        id: Int64, accountID: Int64?, by requester: Requester, now: Timestamp, engineNow: Timestamp
    ) async throws -> Receiver? {
        try await change(id, accountID, requester, "receiver.resume", wall: now) { state, _ in
            state.resume(engineNow: engineNow)
        }
    }

    private func change(
        _ id: Int64, _ accountID: Int64?, _ requester: Requester, _ action: String, wall: Timestamp,
        _ body: @escaping @Sendable (inout ReceiverState, _ heldAt: Timestamp?) -> Void
    ) async throws -> Receiver? {
        try await engine.write(.intake) { db in
            let owner = try db.first(
                """
                SELECT m.account_id FROM receivers r JOIN merchants m ON m.id = r.merchant_id
                WHERE r.id = $1 AND r.is_known = 1 AND (CAST($2 AS BIGINT) IS NULL OR m.account_id = $2)
                """, [.int(id), .optional(accountID)]
            ) { $0.int(0) }
            guard let owner, let before = try ReceiverState.lock(id, in: db) else { return nil }
            var state = before
            body(&state, try Self.heldAt(in: db))
            try state.save(before: before, wall: wall, in: db)
            if state != before {
                try Audit.write(
                    Audit.Entry(at: wall, accountID: owner, by: requester, action: action, target: "receiver \(id)"),
                    in: db)
            }
            return try db.first("\(Self.receiverColumns) WHERE r.id = $1", [.int(id)], Self.receiver)
        }
    }
}
