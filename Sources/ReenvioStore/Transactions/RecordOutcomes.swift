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

    package var merchantID: Int64
    package var deliveryID: Int64
    package var token: Int64
    package var queue: QueueID
    package var payoutID: Int64
    package var notificationID: Int64
    package var resendID: Int64?
    package var attempt: Int
    /// 16 random bytes, new for each attempt.
    package var attemptID: [UInt8]
    /// Wall time.
    package var startedAt: Timestamp
    package var duration: Duration
    package var statusCode: Int?
    package var reason: AttemptFailure?
    package var answer: [UInt8]
    package var next: Next

    package init(
        claimed: ClaimedDelivery, attemptID: [UInt8], startedAt: Timestamp, duration: Duration, statusCode: Int?,
        reason: AttemptFailure?, answer: [UInt8], next: Next
    ) {
        merchantID = claimed.merchantID
        deliveryID = claimed.id
        token = claimed.token
        queue = claimed.queue
        payoutID = claimed.payoutID
        notificationID = claimed.notificationID
        resendID = claimed.resendID
        attempt = claimed.attempt
        self.attemptID = attemptID
        self.startedAt = startedAt
        self.duration = duration
        self.statusCode = statusCode
        self.reason = reason
        self.answer = answer
        self.next = next
    }
}

package struct RecordResult: Sendable {
    /// Results whose claim was no longer theirs: kept as history, the delivery left alone.
    package var late = 0
}

extension Store {
    /// Writes finished attempts and claims the next ones, in one commit. Either half may be empty.
    package func recordAndClaim(
        _ records: [AttemptRecord], now: Timestamp, claim order: ClaimOrder?
    ) async throws -> (recorded: RecordResult, claimed: ClaimResult) {
        try await engine.write(records.isEmpty ? .claims : .outcomes) { db in
            var outcomes = RecordOutcomes(records, now: now)
            try outcomes.write(in: db)
            let claimed = try order.map { try ClaimDeliveries.run($0, in: db) } ?? ClaimResult()
            return (RecordResult(late: outcomes.late), claimed)
        }
    }
}

/// Writes many outcomes: attempts, ended deliveries, retries, acknowledgements and tallies.
struct RecordOutcomes {
    private struct ResendKey: Hashable {
        var merchantID: Int64
        var resendID: Int64
    }

    private(set) var late = 0
    private let records: [AttemptRecord]
    private let now: Timestamp
    private var counts = MinuteCounts()
    private var wakes = QueueWakes()
    private var tallies: [ResendKey: (delivered: Int64, undelivered: Int64, skipped: Int64)] = [:]

    init(_ records: [AttemptRecord], now: Timestamp) {
        self.records = records
        self.now = now
    }

    mutating func write(in db: any SQLConnection) throws {
        if records.isEmpty { return }
        let acked = records.filter { $0.next == .end(.acknowledged) }
        let clocks = try MerchantClocks(locking: acked.map(\.merchantID), in: db)
        try writeAttempts(in: db)
        try endDeliveries(in: db)
        try retryDeliveries(in: db)
        try acknowledge(acked, clocks, in: db)
        try counts.save(in: db)
        try wakes.save(in: db)
        try saveTallies(in: db)
    }

    private func writeAttempts(in db: any SQLConnection) throws {
        var rows = SQLRows(Self.attemptColumns)
        for record in records {
            if case .release = record.next { continue }
            rows.append([
                .int(record.merchantID), .int(record.deliveryID), .int(record.attempt), .blob(record.attemptID),
                .int(record.notificationID), .time(record.startedAt), .int(record.duration.milliseconds),
                .optional(record.statusCode), .optional(record.reason?.rawValue),
                record.answer.isEmpty ? .null : .blob(record.answer),
            ])
        }
        try db.batch(Self.insertAttempts, rows)
    }

    /// Moves ended deliveries out of the open work. A result is taken only where the claim still holds.
    private mutating func endDeliveries(in db: any SQLConnection) throws {
        var rows = SQLRows(Self.claimColumns)
        // By claim, not by delivery alone: a late result may share the batch with the one that counts.
        var ended: [[Int64]: (record: AttemptRecord, end: DeliveryEnd)] = [:]
        for record in records {
            guard case .end(let end) = record.next else { continue }
            rows.append([.int(record.merchantID), .int(record.deliveryID), .int(record.token)])
            ended[[record.deliveryID, record.token]] = (record, end)
        }
        var settled = SQLRows(Settling.columns)
        try db.batch(Self.deleteClaimed, rows) { row in
            guard let (record, end) = ended[[row.int(0), row.int(1)]] else { return }
            settled.append(
                Settling.row(
                    merchantID: record.merchantID, objectID: record.payoutID, deliveryID: record.deliveryID,
                    queue: record.queue, notificationID: record.notificationID, resendID: record.resendID, end: end,
                    reason: record.reason, attempts: record.attempt, statusCode: record.statusCode,
                    createdAt: row.time(2), endedAt: now
                )
            )
            tally(record, end)
        }
        late += rows.count - settled.count
        try db.batch(Settling.insert, settled)
    }

    private mutating func tally(_ record: AttemptRecord, _ end: DeliveryEnd) {
        guard let resendID = record.resendID else { return }
        let key = ResendKey(merchantID: record.merchantID, resendID: resendID)
        var sums = tallies[key] ?? (0, 0, 0)
        switch end {
        case .acknowledged: sums.delivered += 1
        case .exhausted, .stopped: sums.undelivered += 1
        case .skipped: sums.skipped += 1
        }
        tallies[key] = sums
    }

    private mutating func retryDeliveries(in db: any SQLConnection) throws {
        var rows = SQLRows(Self.claimColumns + [("queue_id", .int), ("due", .int), ("given_back", .int)])
        for record in records {
            let due: Timestamp
            let queue: QueueID
            let givenBack: Int
            switch record.next {
            case .end: continue
            case .retry(let at): (due, queue, givenBack) = (at, record.queue.afterFailure, 0)
            case .release(let at): (due, queue, givenBack) = (at, record.queue, 1)
            }
            rows.append([
                .int(record.merchantID), .int(record.deliveryID), .int(record.token), .int(queue.raw), .time(due),
                .int(givenBack),
            ])
            wakes.add(record.merchantID, queue, due: due)
        }
        var retried = 0
        try db.batch(Self.updateClaimed, rows) { _ in retried += 1 }
        late += rows.count - retried
    }

    private func saveTallies(in db: any SQLConnection) throws {
        var rows = SQLRows([
            ("merchant_id", .int), ("resend_id", .int), ("delivered", .int), ("undelivered", .int), ("skipped", .int),
        ])
        let sorted = tallies.sorted { ($0.key.merchantID, $0.key.resendID) < ($1.key.merchantID, $1.key.resendID) }
        for (key, sums) in sorted {
            rows.append([
                .int(key.merchantID), .int(key.resendID), .int(sums.delivered), .int(sums.undelivered),
                .int(sums.skipped),
            ])
        }
        try db.batch(Self.addTallies, rows)
    }
}

// MARK: - Acknowledgements

extension RecordOutcomes {
    /// The first acknowledgement of a notification is dated on the merchant's clock, lowers the count of what was
    /// missed, and settles the notification's live delivery where another delivery was faster (`docs/contract.md` 4.2).
    private mutating func acknowledge(
        _ acked: [AttemptRecord], _ clocks: MerchantClocks, in db: any SQLConnection
    ) throws {
        var rows = SQLRows([("id", .int), ("at", .int), ("seq", .int)])
        for record in acked {
            rows.append([.int(record.notificationID), .time(now), .int(clocks.current(record.merchantID))])
        }
        var changes = SQLRows([("merchant_id", .int), ("seq", .int)])
        try db.batch(Self.markAcknowledged, rows) { changes.append([.int($0.int(0)), .int($0.int(1))]) }
        try db.batch(Self.currentChanges, changes) { row in
            guard let status = PayoutStatus(id: row.int(1)) else { return }
            counts.add(row.int(0), status, second: row.int(2), current: 0, unacked: -1)
        }
        try settleLive(of: acked.filter { $0.resendID != nil }, in: db)
    }

    private func settleLive(of acked: [AttemptRecord], in db: any SQLConnection) throws {
        var rows = SQLRows([("id", .int)])
        for record in acked { rows.append([.int(record.notificationID)]) }
        var settled = SQLRows(Settling.columns)
        try db.batch(Self.deleteLive, rows) { row in
            guard let queue = QueueID(raw: row.int(3)) else { return }
            settled.append(
                Settling.row(
                    merchantID: row.int(0), objectID: row.int(1), deliveryID: row.int(2), queue: queue,
                    notificationID: row.int(4), resendID: nil, end: .skipped, reason: .acknowledgedElsewhere,
                    attempts: Int(row.int(5)), statusCode: nil, createdAt: row.time(6), endedAt: now
                )
            )
        }
        try db.batch(Settling.insert, settled)
    }

    private static let markAcknowledged = """
        UPDATE notifications SET acked_at = rows.at, acked_seq = rows.seq FROM {rows}
        WHERE notifications.id = rows.id AND acked_at IS NULL
        RETURNING merchant_id, change_seq
        """

    private static let currentChanges = """
        SELECT c.merchant_id, c.status_id, c.changed_s FROM status_changes c, {rows}
        WHERE c.merchant_id = rows.merchant_id AND c.seq = rows.seq AND c.superseded_seq IS NULL
        """

    private static let deleteLive = """
        DELETE FROM deliveries WHERE (merchant_id, id) IN (
            SELECT n.merchant_id, n.live_delivery_id FROM notifications n, {rows} WHERE n.id = rows.id)
        RETURNING merchant_id, payout_id, id, queue_id, notification_id, attempts, created_at
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
        ("reason", .text), ("answer", .blob),
    ]

    private static let insertAttempts = """
        INSERT INTO attempts (merchant_id, delivery_id, number, attempt_id, notification_id, started_at, duration_ms,
            status_code, reason, answer)
        SELECT rows.merchant_id, rows.delivery_id, rows.number, rows.attempt_id, rows.notification_id,
            rows.started_at, rows.duration_ms, rows.status_code, rows.reason, rows.answer
        FROM {rows} WHERE true ON CONFLICT DO NOTHING
        """

    private static let deleteClaimed = """
        DELETE FROM deliveries USING {rows}
        WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
            AND deliveries.claim_token = rows.token
        RETURNING deliveries.id, deliveries.claim_token, deliveries.created_at
        """

    private static let updateClaimed = """
        UPDATE deliveries SET queue_id = rows.queue_id, due_at = rows.due, claim_token = NULL,
            attempts = deliveries.attempts - rows.given_back
        FROM {rows}
        WHERE deliveries.merchant_id = rows.merchant_id AND deliveries.id = rows.id
            AND deliveries.claim_token = rows.token
        RETURNING deliveries.id
        """

    private static let addTallies = """
        INSERT INTO resend_tallies (merchant_id, resend_id, shard, delivered, undelivered, skipped)
        SELECT rows.merchant_id, rows.resend_id, 0, rows.delivered, rows.undelivered, rows.skipped
        FROM {rows} WHERE true
        ON CONFLICT (merchant_id, resend_id, shard) DO UPDATE SET
            delivered = resend_tallies.delivered + excluded.delivered,
            undelivered = resend_tallies.undelivered + excluded.undelivered,
            skipped = resend_tallies.skipped + excluded.skipped
        """
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
        ("notification_id", .int), ("resend_id", .int), ("state", .text), ("reason", .text), ("attempts", .int),
        ("status_code", .int), ("created", .int), ("ended", .int),
    ]

    static let insert = """
        INSERT INTO settled (merchant_id, object_id, delivery_id, queue_id, notification_id, resend_id, state, reason,
            attempts, last_status_code, created_at, ended_at)
        SELECT rows.merchant_id, rows.object_id, rows.delivery_id, rows.queue_id, rows.notification_id,
            rows.resend_id, rows.state, rows.reason, rows.attempts, rows.status_code, rows.created, rows.ended
        FROM {rows}
        """

    static func row(
        merchantID: Int64, objectID: Int64, deliveryID: Int64, queue: QueueID, notificationID: Int64, resendID: Int64?,
        end: DeliveryEnd, reason: AttemptFailure?, attempts: Int, statusCode: Int?, createdAt: Timestamp,
        endedAt: Timestamp
    ) -> [SQLValue] {
        [
            .int(merchantID), .int(objectID), .int(deliveryID), .int(queue.raw), .int(notificationID),
            .optional(resendID), .text(end.rawValue), .optional(reason?.rawValue), .int(attempts),
            .optional(statusCode),
            .time(createdAt), .time(endedAt),
        ]
    }
}
