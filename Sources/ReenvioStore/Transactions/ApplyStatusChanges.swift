import ReenvioModel

/// Status changes of one transaction: change, notification and delivery are written together, so that no committed
/// change can lose its webhook (`docs/contract.md` 2.4, `docs/architecture.md`, rule 1).
struct StatusChanges {
    /// A payout as the transaction knows it while items on it apply in order.
    private struct Current {
        var merchantID: Int64
        var status: PayoutStatus
        var changedAt: Timestamp
        var seq: Int64
        var sequence: Int64
        var invoice: String
        var receiverID: Int64?
        var hasURL: Bool
        var endToEnd: String?
        var latestNotificationID: Int64?
        /// Whether the current change has a notification, and whether that one still waits for its 200.
        var isNotified: Bool
        var isUnacked: Bool
        var statusDetail: StatusChangeRequest.Detail?
        var rejectionDescription: String?
        var authenticationCode: String?
        var paidAt: Timestamp?
        /// The change that was current before this transaction; superseded once something is applied.
        var storedSeq: Int64
        /// Whether the row blocks its invoice for others, before this transaction.
        var heldInvoice: Bool
        var isTouched = false
    }

    private struct NewChange {
        var payoutID: Int64
        var merchantID: Int64
        var status: PayoutStatus
        var seq: Int64
        var sequence: Int64
        var at: Timestamp
        var previousSeq: Int64
        var endToEnd: String?
        var statusDetail: StatusChangeRequest.Detail?
        var rejection: String?
        var supersededSeq: Int64?
        var notificationID: Int64?
        var trace: TraceParent?
    }

    private(set) var clocks: MerchantClocks
    private(set) var deliveries = 0
    private let now: Timestamp
    private let sealing: SealingKey
    private var payouts: [Int64: Current] = [:]
    private let mismatchMerchants: Set<Int64>
    private var newChanges: [NewChange] = []
    private var counts = MatchCounts()
    private var wakes = QueueWakes()

    /// The merchants whose clocks the changes need. A payout never changes its merchant, so this may read unlocked
    /// rows.
    static func merchants(of changes: [StatusChangeRequest], in db: any SQLConnection) throws -> [Int64] {
        var result: [Int64] = []
        try db.batch("SELECT p.merchant_id FROM payouts p, {rows} WHERE p.id = rows.id", ids(of: changes)) {
            result.append($0.int(0))
        }
        return result
    }

    /// Reads the payouts under the locked clocks: their state cannot change until the commit.
    init(
        _ changes: [StatusChangeRequest], clocks: MerchantClocks, sealing: SealingKey, now: Timestamp,
        in db: any SQLConnection
    ) throws {
        self.clocks = clocks
        self.sealing = sealing
        self.now = now
        var loaded: [Int64: Current] = [:]
        try db.batch(Self.load, Self.ids(of: changes)) { row in
            guard let status = PayoutStatus(id: row.int(2)) else { throw StoreError.failed("unknown status") }
            let latest = row.intIfPresent(8)
            let isNotified = latest != nil && status.isNotifiable
            loaded[row.int(0)] = Current(
                merchantID: row.int(1), status: status, changedAt: row.time(3), seq: row.int(4), sequence: row.int(5),
                invoice: row.text(6), receiverID: row.intIfPresent(7), hasURL: row.bool(10),
                endToEnd: row.textIfPresent(9),
                latestNotificationID: latest, isNotified: isNotified, isUnacked: isNotified && row.isNull(11),
                storedSeq: row.int(4), heldInvoice: status.holdsInvoice
            )
        }
        payouts = loaded
        let needsSetting = changes.contains { $0.statusDetail != nil }
        mismatchMerchants = needsSetting ? try Self.mismatchMerchants(Set(loaded.values.map(\.merchantID)), in: db) : []
    }

    /// Decides each request in order, then writes what was allowed.
    mutating func apply(
        _ changes: [StatusChangeRequest], due: Timestamp, nonces: [UInt64], in db: any SQLConnection
    ) throws -> [IntakeResult.Changed] {
        if changes.isEmpty { return [] }
        var results: [IntakeResult.Changed] = []
        for change in changes { results.append(decide(change)) }
        try writeNotifications(due: due, nonces: nonces, in: db)
        try writeChanges(in: db)
        try writePayouts(in: db)
        try writeEvents(due: due, nonces: nonces, in: db)
        try counts.save(in: db)
        try wakes.save(in: db)
        return results
    }

    private mutating func decide(_ change: StatusChangeRequest) -> IntakeResult.Changed {
        guard var payout = payouts[change.payoutID] else { return .refused(.notFound) }
        let current = StatusFlow.Current(
            status: payout.status, changedAt: payout.changedAt,
            allowsStatusDetail: mismatchMerchants.contains(payout.merchantID)
        )
        switch StatusFlow.decide(change, on: current, now: now) {
        case .unchanged: return .unchanged
        case .refused(let refusal): return .refused(refusal)
        case .apply(let at):
            supersede(payout, bySeq: clocks.next(payout.merchantID))
            let seq = clocks.current(payout.merchantID)
            payout.endToEnd = change.endToEnd ?? payout.endToEnd
            newChanges.append(
                NewChange(
                    payoutID: change.payoutID, merchantID: payout.merchantID, status: change.status, seq: seq,
                    sequence: payout.sequence + 1, at: at, previousSeq: payout.seq, endToEnd: payout.endToEnd,
                    statusDetail: change.statusDetail, rejection: change.rejectionDescription, trace: change.trace
                )
            )
            payout.isNotified = change.status.isNotifiable && payout.hasURL
            payout.isUnacked = payout.isNotified
            if payout.isNotified {
                counts.add(
                    payout.merchantID, change.status, receiverID: payout.receiverID ?? 0, second: at.seconds,
                    current: 1, unacked: 1)
            }
            (payout.status, payout.changedAt, payout.seq) = (change.status, at, seq)
            payout.sequence += 1
            payout.statusDetail = change.statusDetail
            payout.rejectionDescription = change.rejectionDescription ?? payout.rejectionDescription
            payout.authenticationCode = change.authenticationCode ?? payout.authenticationCode
            if change.status == .paid { payout.paidAt = at }
            payout.isTouched = true
            payouts[change.payoutID] = payout
            return .applied
        }
    }

    private mutating func supersede(_ payout: Current, bySeq seq: Int64) {
        if payout.isNotified {
            counts.add(
                payout.merchantID, payout.status, receiverID: payout.receiverID ?? 0,
                second: payout.changedAt.seconds, current: -1, unacked: payout.isUnacked ? -1 : 0
            )
        }
        // Only where an earlier item of this transaction changed it: looking for others would cost each one all before.
        if payout.isTouched,
            let index = newChanges.lastIndex(where: { $0.seq == payout.seq && $0.merchantID == payout.merchantID })
        {
            newChanges[index].supersededSeq = seq
        }
    }
}

// MARK: - Writing

extension StatusChanges {
    private mutating func writeNotifications(due: Timestamp, nonces: [UInt64], in db: any SQLConnection) throws {
        let notified = newChanges.indices.filter { index in
            newChanges[index].status.isNotifiable && payouts[newChanges[index].payoutID]?.hasURL == true
        }
        let notificationIDs = try db.nextIDs(.notification, notified.count)
        let deliveryIDs = try db.nextIDs(.delivery, notified.count)
        var notifications = SQLRows(Self.notificationColumns)
        var rows = SQLRows(Self.deliveryColumns)
        for (offset, index) in notified.enumerated() {
            let change = newChanges[index]
            guard let payout = payouts[change.payoutID], let receiverID = payout.receiverID else { continue }
            let body = NotificationBody.payout(
                id: change.payoutID, invoice: payout.invoice, endToEnd: change.endToEnd, status: change.status,
                updatedAt: change.at, statusDetail: change.statusDetail
            )
            notifications.append([
                .int(notificationIDs[offset]), .int(change.merchantID), .int(Int64(bitPattern: nonces[offset])),
                .int(change.payoutID), .int(change.seq), .int(change.sequence), .int(deliveryIDs[offset]), .time(now),
                .blob(body), .optional(change.trace?.bytes),
            ])
            let queue = QueueID(receiverID: receiverID, lane: .live)
            rows.append([
                .int(change.merchantID), .int(deliveryIDs[offset]), .int(queue.raw), .time(due), .int(change.payoutID),
                .int(notificationIDs[offset]), .time(now),
            ])
            wakes.add(change.merchantID, queue, due: due)
            newChanges[index].notificationID = notificationIDs[offset]
            payouts[change.payoutID]?.latestNotificationID = notificationIDs[offset]
        }
        try db.send(Self.insertNotifications, notifications)
        try db.send(Self.insertDeliveries, rows)
        deliveries = rows.count
    }

    private func writeChanges(in db: any SQLConnection) throws {
        var inserts = SQLRows(Self.changeColumns)
        for change in newChanges {
            inserts.append([
                .int(change.merchantID), .int(change.seq), .int(change.payoutID), .int(change.status.id),
                .int(change.sequence), .time(change.at), .int(change.at.seconds), .optional(change.notificationID),
                .int(change.previousSeq), .optional(change.supersededSeq),
            ])
        }
        try db.send(Self.insertChanges, inserts)
        var superseded = SQLRows([("merchant_id", .int), ("seq", .int), ("by", .int)])
        for change in newChanges where payouts[change.payoutID]?.storedSeq == change.previousSeq {
            superseded.append([.int(change.merchantID), .int(change.previousSeq), .int(change.seq)])
        }
        try db.send(
            """
            UPDATE status_changes SET superseded_seq = rows.by FROM {rows}
            WHERE status_changes.merchant_id = rows.merchant_id AND status_changes.seq = rows.seq
            """,
            superseded
        )
    }

    private func writePayouts(in db: any SQLConnection) throws {
        var rows = SQLRows(Self.payoutColumns)
        var invoices = SQLRows([("id", .int), ("holds", .int)])
        for (id, payout) in payouts.sorted(by: { $0.key < $1.key }) where payout.isTouched {
            rows.append([
                .int(id), .int(payout.status.id), .time(payout.changedAt), .optional(payout.paidAt), .int(payout.seq),
                .int(payout.sequence), .optional(payout.latestNotificationID), .optional(payout.endToEnd),
                .optional(payout.statusDetail.map(Self.detailJSON)), .optional(payout.rejectionDescription),
                .optional(payout.authenticationCode),
            ])
            if payout.status.holdsInvoice != payout.heldInvoice {
                invoices.append([.int(id), .bool(payout.status.holdsInvoice)])
            }
        }
        try db.send(Self.updatePayouts, rows)
        try db.send(
            "UPDATE payouts SET holds_invoice = rows.holds FROM {rows} WHERE payouts.id = rows.id", invoices
        )
    }

    /// The same changes as v3 tells them, where their merchant is an account mirror.
    private mutating func writeEvents(due: Timestamp, nonces: [UInt64], in db: any SQLConnection) throws {
        let changes = zip(newChanges, nonces).map { change, nonce in
            PayoutEvents.Change(
                payoutID: change.payoutID, merchantID: change.merchantID, status: change.status, seq: change.seq,
                sequence: change.sequence, at: change.at, endToEnd: change.endToEnd, rejection: change.rejection,
                statusDetail: change.statusDetail?.detail, nonce: nonce, trace: change.trace)
        }
        guard var events = try PayoutEvents(changes, sealing: sealing, in: db) else { return }
        var writer = NewEvents(sealing: sealing, now: now)
        try writer.write(events.events(of: changes), due: due, wakes: &wakes, in: db)
        deliveries += writer.deliveries
    }

    static func detailJSON(_ detail: StatusChangeRequest.Detail) -> String {
        var writer = JSONWriter()
        detail.write(into: &writer)
        return String(decoding: writer.bytes, as: UTF8.self)
    }
}

// MARK: - SQL

extension StatusChanges {
    private static func ids(of changes: [StatusChangeRequest]) -> SQLRows {
        var rows = SQLRows([("id", .int)])
        for id in Set(changes.map(\.payoutID)).sorted() { rows.append([.int(id)]) }
        return rows
    }

    private static func mismatchMerchants(_ ids: Set<Int64>, in db: any SQLConnection) throws -> Set<Int64> {
        var rows = SQLRows([("id", .int)])
        for id in ids { rows.append([.int(id)]) }
        var result: Set<Int64> = []
        let sql = "SELECT m.id FROM merchants m, {rows} WHERE m.id = rows.id AND m.account_mismatch = 1"
        try db.batch(sql, rows) { result.insert($0.int(0)) }
        return result
    }

    private static let load = """
        SELECT p.id, p.merchant_id, p.status_id, p.updated_at, p.latest_seq, p.latest_sequence, p.invoice,
            p.receiver_id, p.latest_notification_id, p.end_to_end, p.notification_url IS NOT NULL, n.acked_at
        FROM payouts p LEFT JOIN notifications n ON n.id = p.latest_notification_id, {rows} WHERE p.id = rows.id
        """

    private static let notificationColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("id", .int), ("merchant_id", .int), ("nonce", .int), ("payout_id", .int), ("change_seq", .int),
        ("sequence", .int), ("delivery_id", .int), ("at", .int), ("body", .blob), ("trace", .blob),
    ]

    private static let insertNotifications = """
        INSERT INTO notifications (id, merchant_id, nonce, payout_id, change_seq, sequence, live_delivery_id,
            created_at, body, trace)
        SELECT rows.id, rows.merchant_id, rows.nonce, rows.payout_id, rows.change_seq, rows.sequence,
            rows.delivery_id, rows.at, rows.body, rows.trace
        FROM {rows}
        """

    private static let deliveryColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("merchant_id", .int), ("id", .int), ("queue_id", .int), ("due", .int), ("payout_id", .int),
        ("notification_id", .int), ("at", .int),
    ]

    private static let insertDeliveries = """
        INSERT INTO deliveries (merchant_id, id, queue_id, due_at, payout_id, notification_id, created_at)
        SELECT rows.merchant_id, rows.id, rows.queue_id, rows.due, rows.payout_id, rows.notification_id, rows.at
        FROM {rows}
        """

    private static let changeColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("merchant_id", .int), ("seq", .int), ("payout_id", .int), ("status_id", .int), ("sequence", .int),
        ("at", .int),
        ("at_s", .int), ("notification_id", .int), ("previous_seq", .int), ("superseded_seq", .int),
    ]

    private static let insertChanges = """
        INSERT INTO status_changes (merchant_id, seq, payout_id, status_id, sequence, changed_at, changed_s,
            notification_id, previous_seq, superseded_seq)
        SELECT rows.merchant_id, rows.seq, rows.payout_id, rows.status_id, rows.sequence, rows.at, rows.at_s,
            rows.notification_id, rows.previous_seq, rows.superseded_seq
        FROM {rows}
        """

    private static let payoutColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("id", .int), ("status_id", .int), ("at", .int), ("paid_at", .int), ("seq", .int), ("sequence", .int),
        ("notification_id", .int), ("end_to_end", .text), ("detail", .text), ("rejection", .text),
        ("authentication", .text),
    ]

    private static let updatePayouts = """
        UPDATE payouts SET status_id = rows.status_id, updated_at = rows.at,
            paid_at = coalesce(rows.paid_at, payouts.paid_at),
            latest_seq = rows.seq, latest_sequence = rows.sequence, latest_notification_id = rows.notification_id,
            end_to_end = rows.end_to_end, status_detail = rows.detail,
            rejection_description = coalesce(rows.rejection, payouts.rejection_description),
            authentication_code = coalesce(rows.authentication, payouts.authentication_code)
        FROM {rows} WHERE payouts.id = rows.id
        """
}
