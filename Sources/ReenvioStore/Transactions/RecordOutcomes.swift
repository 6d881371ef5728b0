package import ReenvioModel

/// What an attempt came to and what follows, as decided by `Delivery.after`: ready to be written.
package struct AttemptRecord: Sendable {
    package enum Next: Sendable, Equatable {
        case end(DeliveryEnd)
        /// Engine time.
        case retry(due: Timestamp)
        /// The attempt never began: nothing happened, the number is given back.
        case release(due: Timestamp)
    }

    package let claimed: ClaimedDelivery
    /// 16 random bytes, new for each attempt.
    package var attemptID: [UInt8]
    /// Wall time.
    package var startedAt: Timestamp
    package var duration: Duration
    package var statusCode: Int?
    package var reason: AttemptFailure?
    package var answer: [UInt8]
    /// Where a redirect points.
    package var location: String?
    package var next: Next
    /// How long the receiver asked to be left alone (`docs/contract.md` 3.4).
    package var hold: Duration?
    /// Given back because its origin had no room, over all merchants.
    package var isCrowdedOut = false

    package init(
        claimed: ClaimedDelivery, attemptID: [UInt8], startedAt: Timestamp, duration: Duration, statusCode: Int?,
        reason: AttemptFailure?, answer: [UInt8], next: Next, hold: Duration? = nil
    ) {
        self.hold = hold
        self.claimed = claimed
        self.attemptID = attemptID
        self.startedAt = startedAt
        self.duration = duration
        self.statusCode = statusCode
        self.reason = reason
        self.answer = answer
        self.next = next
    }
}

extension AttemptRecord {
    /// What the attempt says of its receiver; nil where it never began.
    package var outcome: AttemptOutcome? {
        if case .release = next { return nil }
        if let statusCode { return AttemptOutcome(statusCode: statusCode, retryAfter: nil) }
        return reason.map { .failed($0) }
    }

    /// That of the URL, where it matters which it was: of probes, and of failures of the machine.
    package var fingerprint: Int64? {
        guard claimed.isProbe || outcome?.signal == .machine else { return nil }
        return claimed.urlFingerprint
    }
}

package struct RecordResult: Sendable {
    /// Results whose claim was no longer theirs: kept as history, the delivery left alone.
    package var late = 0
    /// What began or ended for receivers.
    package var events: [ReceiverEvent] = []
    /// Deliveries whose last attempt this was.
    var exhausted: [ExhaustedDelivery] = []
}

extension Store {
    /// Writes finished attempts and what they say of their receivers, and claims the next ones. Each part may be empty.
    /// One commit where this node has the store to itself; where others share it the claim has one of its own, which
    /// need not wait for the disk. A claim that fails then is made again by the next call.
    /// - Throws: `StoreError.locked` where it waits for a row of another node for longer than `lockWait`.
    package func recordAndClaim(
        _ records: [AttemptRecord], changes: [ReceiverChange] = [], now: Timestamp, claim order: ClaimOrder?,
        lockWait: Duration? = nil
    ) async throws -> (recorded: RecordResult, claimed: ClaimResult) {
        if records.isEmpty, changes.isEmpty, let order { return (RecordResult(), try await claim(order)) }
        let joined = engine.sharing == nil ? order : nil
        let (recorded, claimed, told) = try await engine.write(.outcomes) { db in
            if let lockWait { try db.waitForLocks(atMost: lockWait) }
            let recorded = try RecordOutcomes.run(records, changes, now: now, in: db)
            let claimed = try joined.map { try ClaimDeliveries.run($0, in: db) } ?? ClaimResult()
            return (recorded, claimed, try tell(try OperatorNotice.of(recorded, at: now, in: db), in: db))
        }
        announce(told)
        guard let order, joined == nil else { return (recorded, open(claimed)) }
        return (recorded, (try? await claim(order)) ?? ClaimResult())
    }

    private func claim(_ order: ClaimOrder) async throws -> ClaimResult {
        open(try await engine.write(.claims) { db in try ClaimDeliveries.run(order, in: db) })
    }
}

/// Writes many outcomes: attempts, ended deliveries, retries, acknowledgements and tallies.
struct RecordOutcomes {
    private(set) var late = 0
    private var exhausted: [ExhaustedDelivery] = []
    private let records: [AttemptRecord]
    private let ackedEvents: [ClaimedDelivery]
    /// Of payouts' notifications, those that were not acknowledged when they were claimed: for the others an
    /// acknowledgement changes nothing, and no clock is needed.
    private let newlyAcked: [ClaimedDelivery]
    private let now: Timestamp
    private var counts = MatchCounts()
    private var wakes = QueueWakes()
    private var tallies = ResendTallies()

    init(_ records: [AttemptRecord], now: Timestamp) {
        self.records = records
        self.now = now
        let acked = records.compactMap { $0.next == .end(.acknowledged) ? $0.claimed : nil }
        ackedEvents = acked.filter { $0.event != nil }
        newlyAcked = acked.filter { $0.event == nil && !$0.wasAcknowledged }
    }

    static func run(
        _ records: [AttemptRecord], _ changes: [ReceiverChange], now: Timestamp, in db: any SQLConnection
    ) throws -> RecordResult {
        var outcomes = RecordOutcomes(records, now: now)
        // New rows that nobody else looks for: written before the locks, which others wait for.
        try outcomes.writeAttempts(in: db)
        // Clocks, then resends, receivers, queues, and tallies: everybody locks in this order.
        let clocks = try outcomes.lockClocks(in: db)
        let events = try ReceiverStates.apply(changes, wall: now, in: db)
        try outcomes.write(clocks, in: db)
        return RecordResult(late: outcomes.late, events: events, exhausted: outcomes.exhausted)
    }

    /// Locks the clocks that acknowledgements are dated by, and the logs that may end; first of all.
    private func lockClocks(in db: any SQLConnection) throws -> MerchantClocks {
        let clocks = try MerchantClocks(locking: Set(newlyAcked.map(\.merchantID)), in: db)
        let ended = records.lazy.filter { if case .end = $0.next { $0.claimed.isLogResend } else { false } }
        try EndLogs.lock(ended.compactMap(\.claimed.resendID), in: db)
        return clocks
    }

    private mutating func write(_ clocks: MerchantClocks, in db: any SQLConnection) throws {
        if records.isEmpty { return }
        try retryDeliveries(in: db)
        try wakes.save(in: db)
        try endDeliveries(in: db)
        try acknowledge(newlyAcked, clocks, in: db)
        if !ackedEvents.isEmpty { try AcknowledgeEvents(ackedEvents, now: now).write(in: db) }
        try counts.save(in: db)
        try tallies.save(now: now, in: db)
    }

    private func writeAttempts(in db: any SQLConnection) throws {
        var rows = SQLRows(Self.attemptColumns, reserving: records.count)
        for record in records {
            if case .release = record.next { continue }
            let claimed = record.claimed
            rows.append([
                .int(claimed.merchantID), .int(claimed.id), .int(claimed.attempt), .blob(record.attemptID),
                .int(claimed.notificationID), .time(record.startedAt), .int(record.duration.milliseconds),
                .optional(record.statusCode), .optional(record.reason?.rawValue),
                record.answer.isEmpty ? .null : .blob(record.answer), .optional(record.location),
            ])
        }
        try db.send(Self.insertAttempts, rows)
    }

    /// Moves ended deliveries out of the open work. A result is taken only where the claim still holds.
    private mutating func endDeliveries(in db: any SQLConnection) throws {
        var rows = SQLRows(Self.claimColumns, reserving: records.count)
        var ended: [(record: AttemptRecord, end: DeliveryEnd)] = []
        ended.reserveCapacity(records.count)
        for record in records {
            guard case .end(let end) = record.next else { continue }
            rows.append([.int(record.claimed.merchantID), .int(record.claimed.id), .int(record.claimed.token)])
            ended.append((record, end))
        }
        try ResendTallies.lock(
            ended.lazy.compactMap { $0.record.claimed.event == nil ? $0.record.claimed.tallyKey : nil }, in: db)
        // Rows of logs are locked since `lockClocks`, tallies of jobs since now: a cancel comes before or after.
        let canceled = try CanceledJobs.among(Set(ended.lazy.compactMap { $0.record.claimed.resendID }), in: db)
        var settled = SQLRows(Settling.columns, reserving: rows.count)
        for ((record, end), isTheirs) in zip(ended, try db.effects(Self.deleteClaimed, rows)) where isTheirs {
            let claimed = record.claimed
            // What was under way when its resend was canceled counts as skipped, whatever was answered.
            let isCanceled = claimed.resendID.map(canceled.contains) ?? false
            settled.append(
                Settling.row(
                    merchantID: claimed.merchantID, objectID: claimed.settledUnder, deliveryID: claimed.id,
                    queue: claimed.queue, notificationID: claimed.notificationID, resendID: claimed.resendID,
                    registrationID: claimed.event?.registrationID, end: isCanceled ? .skipped : end,
                    reason: isCanceled ? .canceled : record.reason,
                    attempts: claimed.attempt, statusCode: record.statusCode, createdAt: claimed.createdAt,
                    endedAt: now
                )
            )
            if end == .exhausted, !isCanceled { exhausted.append(ExhaustedDelivery(record)) }
            if let resendID = claimed.resendID, !isCanceled {
                let failure = claimed.event.flatMap { _ in
                    LogFailure(end, reason: record.reason, statusCode: record.statusCode)
                }
                tallies.add(
                    end, merchantID: claimed.merchantID, resendID: resendID, isLog: claimed.event != nil,
                    failure: failure)
            }
        }
        late += rows.count - settled.count
        try db.send(Settling.insert, settled)
    }

    private mutating func retryDeliveries(in db: any SQLConnection) throws {
        var rows = SQLRows(Self.claimColumns + Self.retryColumns)
        var retries: [MovedRetries.Retry] = []
        for record in records {
            let claimed = record.claimed
            let due: Timestamp
            let queue: QueueID
            let givenBack: Int
            switch record.next {
            case .end: continue
            case .retry(let at): (due, queue, givenBack) = (at, claimed.queue.afterFailure, 0)
            case .release(let at): (due, queue, givenBack) = (at, claimed.queue, 1)
            }
            rows.append([
                .int(claimed.merchantID), .int(claimed.id), .int(claimed.token), .int(queue.raw), .time(due),
                .int(givenBack), .int(claimed.queue.raw),
            ])
            retries.append(MovedRetries.Retry(claimed: claimed, queue: queue, due: due, givenBack: givenBack))
            wakes.add(claimed.merchantID, queue, due: due)
        }
        let written = try db.effects(Self.updateClaimed, rows)
        let elsewhere = zip(retries, written).filter { !$0.1 }.map(\.0)
        if !elsewhere.isEmpty { late += try MovedRetries(elsewhere).save(&wakes, in: db) }
    }
}

// MARK: - Acknowledgements

extension RecordOutcomes {
    /// The first acknowledgement of a notification is dated on the merchant's clock, lowers the count of what was
    /// missed, and settles the notification's live delivery where another delivery was faster (`docs/contract.md` 4.2).
    private mutating func acknowledge(
        _ acked: [ClaimedDelivery], _ clocks: MerchantClocks, in db: any SQLConnection
    ) throws {
        var rows = SQLRows([("id", .int), ("at", .int), ("seq", .int)], reserving: acked.count)
        for claimed in acked {
            rows.append([.int(claimed.notificationID), .time(now), .int(clocks.current(claimed.merchantID))])
        }
        var changes = SQLRows([("merchant_id", .int), ("seq", .int)])
        for (claimed, isFirst) in zip(acked, try db.effects(Self.markAcknowledged, rows)) where isFirst {
            changes.append([.int(claimed.merchantID), .int(claimed.changeSeq)])
        }
        try db.batch(Self.currentChanges, changes) { row in
            guard let status = PayoutStatus(id: row.int(1)) else { return }
            counts.add(
                row.int(0), status, receiverID: row.int(3), second: row.int(2), current: 0, unacked: -1)
        }
        try settleLive(of: acked, in: db)
    }

    /// Looks before it deletes: the live delivery of what a resend sends has nearly always ended long ago.
    private func settleLive(of acked: [ClaimedDelivery], in db: any SQLConnection) throws {
        var candidates = SQLRows([("merchant_id", .int), ("id", .int)])
        for claimed in acked where claimed.resendID != nil {
            guard let live = claimed.liveDeliveryID else { continue }
            candidates.append([.int(claimed.merchantID), .int(live)])
        }
        var open: [[SQLValue]] = []
        var found = SQLRows(candidates.columns)
        var seen: Set<Int64> = []
        try db.batch(Self.openLive, candidates) { row in
            // Two resends of one notification may be acknowledged in one batch.
            guard let queue = QueueID(raw: row.int(3)), seen.insert(row.int(2)).inserted else { return }
            found.append([.int(row.int(0)), .int(row.int(2))])
            open.append(
                Settling.row(
                    merchantID: row.int(0), objectID: row.int(1), deliveryID: row.int(2), queue: queue,
                    notificationID: row.int(4), resendID: nil, end: .skipped, reason: .acknowledgedElsewhere,
                    attempts: Int(row.int(5)), statusCode: nil, createdAt: row.time(6), endedAt: now
                )
            )
        }
        var settled = SQLRows(Settling.columns, reserving: open.count)
        for (row, isOurs) in zip(open, try db.effects(EndedDeliveries.delete, found)) where isOurs {
            settled.append(row)
        }
        try db.send(Settling.insert, settled)
    }

    private static let markAcknowledged = """
        UPDATE notifications SET acked_at = rows.at, acked_seq = rows.seq FROM {rows}
        WHERE notifications.id = rows.id AND acked_at IS NULL
        """

    /// Counted at the receiver that the payout has now: its URL may have moved during the attempt.
    private static let currentChanges = """
        SELECT c.merchant_id, c.status_id, c.changed_s, coalesce(p.receiver_id, 0)
        FROM status_changes c JOIN payouts p ON p.id = c.payout_id, {rows}
        WHERE c.merchant_id = rows.merchant_id AND c.seq = rows.seq AND c.superseded_seq IS NULL
        """

    private static let openLive = """
        SELECT d.merchant_id, d.payout_id, d.id, d.queue_id, d.notification_id, d.attempts, d.created_at
        FROM deliveries d, {rows} WHERE d.merchant_id = rows.merchant_id AND d.id = rows.id
        """
}

// MARK: - SQL

extension RecordOutcomes {
    private static let claimColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("merchant_id", .int), ("id", .int), ("token", .int),
    ]

    private static let attemptColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("merchant_id", .int), ("delivery_id", .int), ("number", .int), ("attempt_id", .blob),
        ("notification_id", .int), ("started_at", .int), ("duration_ms", .int), ("status_code", .int),
        ("reason", .text), ("answer", .blob), ("location", .text),
    ]

    private static let insertAttempts = """
        INSERT INTO attempts (merchant_id, delivery_id, number, attempt_id, notification_id, started_at, duration_ms,
            status_code, reason, answer, location)
        SELECT rows.merchant_id, rows.delivery_id, rows.number, rows.attempt_id, rows.notification_id,
            rows.started_at, rows.duration_ms, rows.status_code, rows.reason, rows.answer, rows.location
        FROM {rows} WHERE true ON CONFLICT DO NOTHING
        """

    private static let deleteClaimed = """
        DELETE FROM deliveries USING {rows}
        WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
            AND deliveries.claim_token = rows.token
        """

    /// The queue is compared as no index has it: the row is found by its key.
    private static let updateClaimed = """
        UPDATE deliveries SET queue_id = rows.queue_id, due_at = rows.due, claim_token = NULL,
            attempts = deliveries.attempts - rows.given_back, has_slot = rows.given_back
        FROM {rows}
        WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
            AND deliveries.claim_token = rows.token AND deliveries.queue_id + 0 = rows.claimed_from
        """

    private static let retryColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("queue_id", .int), ("due", .int), ("given_back", .int), ("claimed_from", .int),
    ]
}

extension QueueID {
    /// Where a delivery waits after a failed attempt: a live one among the retries, a resend's stays where it is.
    fileprivate var afterFailure: QueueID {
        lane == .live ? QueueID(receiverID: receiverID, lane: .retry) : self
    }
}

/// The rows of ended deliveries.
enum Settling {
    static let columns: [(name: String, type: SQLRows.ColumnType)] = [
        ("merchant_id", .int), ("object_id", .int), ("delivery_id", .int), ("queue_id", .int),
        ("notification_id", .int), ("resend_id", .int), ("registration_id", .int), ("state", .text),
        ("reason", .text), ("attempts", .int), ("status_code", .int), ("created", .int), ("ended", .int),
    ]

    static let insert = """
        INSERT INTO settled (merchant_id, object_id, delivery_id, queue_id, notification_id, resend_id,
            registration_id, state, reason, attempts, last_status_code, created_at, ended_at)
        SELECT rows.merchant_id, rows.object_id, rows.delivery_id, rows.queue_id, rows.notification_id,
            rows.resend_id, rows.registration_id, rows.state, rows.reason, rows.attempts,
            rows.status_code, rows.created, rows.ended
        FROM {rows}
        """

    static func row(
        merchantID: Int64, objectID: Int64, deliveryID: Int64, queue: QueueID, notificationID: Int64, resendID: Int64?,
        registrationID: Int64? = nil, end: DeliveryEnd, reason: AttemptFailure?, attempts: Int, statusCode: Int?,
        createdAt: Timestamp, endedAt: Timestamp
    ) -> [SQLValue] {
        [
            .int(merchantID), .int(objectID), .int(deliveryID), .int(queue.raw), .int(notificationID),
            .optional(resendID), .optional(registrationID), .text(end.rawValue), .optional(reason?.rawValue),
            .int(attempts),
            .optional(statusCode),
            .time(createdAt), .time(endedAt),
        ]
    }
}
