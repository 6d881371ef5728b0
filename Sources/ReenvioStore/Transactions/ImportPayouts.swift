package import ReenvioModel

/// What became of one line of an import.
package enum ImportOutcome: Equatable, Sendable {
    case imported(id: Int64)
    /// The payout is stored with this content; nothing was written.
    case unchanged
    case refused(ImportRefusal)
}

extension Store {
    /// One transaction for many lines (`docs/importing.md`): each new payout with its history and, where its status has
    /// a webhook, that webhook as sent elsewhere, acknowledged where the line says so; likewise the event of v3. No
    /// delivery is made; a resend finds it. Each line is decided on its own, in order; a refused one disturbs nobody.
    /// - Parameters:
    ///   - lines: at most `Limits.importLinesPerCommit`.
    ///   - now: wall time, at which the rows are made.
    ///   - nonces: random bits for webhook ids, at least one per line.
    /// - Throws: `StoreError`; nothing is stored then.
    package func importPayouts(
        _ lines: [ImportLine], now: Timestamp, nonces: [UInt64]
    ) async throws -> [ImportOutcome] {
        let sealing = sealing
        return try await engine.write(.bulk) { db in
            let clocks = try MerchantClocks(locking: lines.map(\.merchantID), in: db)
            var batch = try ImportPayouts(lines, clocks: clocks, now: now, in: db)
            let outcomes = try batch.run(nonces: nonces, in: db)
            try batch.writeEvents(sealing: sealing, nonces: nonces, in: db)
            return outcomes
        }
    }
}

/// The lines of one transaction.
private struct ImportPayouts {
    private struct Merchant {
        var isClosed: Bool
        var allowsStatusDetail: Bool
    }

    /// A line that will be stored, with the numbers it gets.
    private struct Accepted {
        var line: ImportLine
        var index: Int
        var id: Int64 = 0
        var receiverID: Int64?
        /// The merchant's clock at the creation; the status, where there is one, takes the next number.
        var createdSeq: Int64 = 0
        var notificationID: Int64?

        var isAwaiting: Bool { line.status == .awaiting }
        var latestSeq: Int64 { isAwaiting ? createdSeq : createdSeq + 1 }
        var latestSequence: Int { isAwaiting ? 1 : 2 }
    }

    private let lines: [ImportLine]
    private let now: Timestamp
    private let merchants: [Int64: Merchant]
    private var clocks: MerchantClocks
    private var known: KnownPayouts
    private var outcomes: [ImportOutcome] = []
    private var accepted: [Accepted] = []
    /// Webhooks stored before, which lines say were acknowledged.
    private var acknowledged: [(webhook: KnownPayouts.Unacknowledged, at: Timestamp)] = []

    init(_ lines: [ImportLine], clocks: MerchantClocks, now: Timestamp, in db: any SQLConnection) throws {
        self.lines = lines
        self.clocks = clocks
        self.now = now
        merchants = try Self.merchants(of: lines, in: db)
        known = try KnownPayouts(lines, in: db)
    }

    mutating func run(nonces: [UInt64], in db: any SQLConnection) throws -> [ImportOutcome] {
        for (index, line) in lines.enumerated() { outcomes.append(decide(line, index)) }
        try AcknowledgeImported(acknowledged, clocks: clocks, now: now).write(in: db)
        if accepted.isEmpty { return outcomes }
        try number(in: db)
        try writePayouts(in: db)
        try writeNotifications(nonces: nonces, in: db)
        try writeChanges(in: db)
        try countMinutes(in: db)
        try clocks.save(in: db)
        for payout in accepted { outcomes[payout.index] = .imported(id: payout.id) }
        return outcomes
    }

    private mutating func decide(_ line: ImportLine, _ index: Int) -> ImportOutcome {
        switch known.meeting(line) {
        case .unchanged(let position): return acknowledge(line, at: position)
        case .refused(let refusal): return .refused(refusal)
        case nil: break
        }
        guard let merchant = merchants[line.merchantID] else { return .refused(.unknownMerchant) }
        if merchant.isClosed { return .refused(.closedMerchant) }
        if line.statusDetail != nil, !merchant.allowsStatusDetail {
            let text = "The status_detail field is not accepted for this merchant."
            return .refused(.faults(Faults("status_detail", text)))
        }
        known.add(line, accepted: accepted.count)
        accepted.append(Accepted(line: line, index: index))
        return .imported(id: 0)
    }

    /// Acknowledges the stored webhook of a line that was imported before without `acknowledged_at`. The first
    /// acknowledgement counts; a line without one changes nothing.
    private mutating func acknowledge(_ line: ImportLine, at position: Int) -> ImportOutcome {
        guard let at = line.acknowledgedAt else { return .unchanged }
        if let place = known.acceptedPlace(position) {
            accepted[place].line.acknowledgedAt = accepted[place].line.acknowledgedAt ?? at
            return .unchanged
        }
        guard let webhook = known.acknowledge(position) else { return .unchanged }
        acknowledged.append((webhook, at))
        return .imported(id: webhook.payoutID)
    }

    /// Gives each payout its id, receiver and numbers. The id sequence is past the largest imported id in this commit.
    private mutating func number(in db: any SQLConnection) throws {
        if let largest = accepted.compactMap(\.line.id).max() {
            try db.pass(.payout, largest)
        }
        var drawn = try db.nextIDs(.payout, accepted.count { $0.line.id == nil })[...]
        var notificationIDs = try db.nextIDs(.notification, accepted.count { $0.line.isNotified })[...]
        let origins = accepted.map { ($0.line.merchantID, $0.line.notificationURL?.origin) }
        let receivers = try Receivers.find(or: origins, now, in: db)
        for index in accepted.indices {
            let line = accepted[index].line
            accepted[index].id = line.id ?? drawn.popFirst() ?? 0
            accepted[index].receiverID = receivers[index]
            accepted[index].createdSeq = clocks.next(line.merchantID)
            if !accepted[index].isAwaiting { _ = clocks.next(line.merchantID) }
            if line.isNotified { accepted[index].notificationID = notificationIDs.popFirst() }
        }
    }
}

// MARK: - Writing

extension ImportPayouts {
    private func writePayouts(in db: any SQLConnection) throws {
        var rows = SQLRows(Self.payoutColumns)
        for payout in accepted {
            let line = payout.line
            rows.append([
                .int(payout.id), .int(line.merchantID), .text(line.invoice), .int(line.amount.minor),
                .text(line.amount.currency), .int(line.status.id), .time(line.createdAt), .time(line.updatedAt),
                line.status == .paid ? .time(line.updatedAt) : .null, .int(payout.latestSeq),
                .int(payout.latestSequence), .optional(payout.notificationID), .optional(payout.receiverID),
                .optional(line.notificationURL?.text), .optional(line.endToEnd),
                .optional(line.statusDetail.map(StatusChanges.detailJSON)), .bool(line.status.holdsInvoice),
            ])
        }
        guard try db.changes(Self.insertPayouts, rows) == rows.count else {
            throw StoreError.unavailable("another writer took an id or an invoice of these lines")
        }
    }

    /// As sent elsewhere: a notification without a live delivery.
    private func writeNotifications(nonces: [UInt64], in db: any SQLConnection) throws {
        var rows = SQLRows(Self.notificationColumns)
        for payout in accepted {
            guard let notificationID = payout.notificationID else { continue }
            rows.append([
                .int(notificationID), .int(payout.line.merchantID), .int(Int64(bitPattern: nonces[payout.index])),
                .int(payout.id), .int(payout.latestSeq), .int(payout.latestSequence), .time(now),
                .blob(payout.line.body(payoutID: payout.id)), .optional(payout.line.acknowledgedAt),
                payout.line.acknowledgedAt == nil ? .null : .int(payout.latestSeq),
            ])
        }
        try db.send(Self.insertNotifications, rows)
    }

    private func writeChanges(in db: any SQLConnection) throws {
        var rows = SQLRows(Self.changeColumns)
        for payout in accepted {
            let (line, created) = (payout.line, SQLValue.int(payout.createdSeq))
            let merchant = SQLValue.int(line.merchantID)
            rows.append([
                merchant, created, .int(payout.id), .int(PayoutStatus.awaiting.id), .int(1), .time(line.createdAt),
                .int(line.createdAt.seconds), .null, .null, payout.isAwaiting ? .null : .int(payout.latestSeq),
            ])
            if payout.isAwaiting { continue }
            rows.append([
                merchant, .int(payout.latestSeq), .int(payout.id), .int(line.status.id), .int(payout.latestSequence),
                .time(line.updatedAt), .int(line.updatedAt.seconds), .optional(payout.notificationID), created, .null,
            ])
        }
        try db.send(Self.insertChanges, rows)
    }

    /// What v3 would have told of these payouts; nothing is delivered, a resend finds it.
    fileprivate func writeEvents(sealing: SealingKey, nonces: [UInt64], in db: any SQLConnection) throws {
        let changes = accepted.map { payout in
            let line = payout.line
            return PayoutEvents.Change(
                payoutID: payout.id, merchantID: line.merchantID, status: line.status, seq: payout.latestSeq,
                sequence: Int64(payout.latestSequence), at: line.updatedAt, endToEnd: line.endToEnd,
                statusDetail: line.statusDetail?.detail, nonce: nonces[payout.index], ackedAt: line.acknowledgedAt)
        }
        guard var events = try PayoutEvents(changes, sealing: sealing, in: db) else { return }
        var writer = NewEvents(sealing: sealing, now: now)
        var wakes = QueueWakes()
        try writer.write(events.events(of: changes), due: nil, wakes: &wakes, in: db)
    }

    private func countMinutes(in db: any SQLConnection) throws {
        var counts = MatchCounts()
        for payout in accepted where payout.notificationID != nil {
            let line = payout.line
            counts.add(
                line.merchantID, line.status, receiverID: payout.receiverID ?? 0, second: line.updatedAt.seconds,
                current: 1, unacked: line.acknowledgedAt == nil ? 1 : 0)
        }
        try counts.save(in: db)
    }
}

// MARK: - SQL

extension ImportPayouts {
    private static func merchants(of lines: [ImportLine], in db: any SQLConnection) throws -> [Int64: Merchant] {
        var rows = SQLRows([("id", .int)])
        for id in Set(lines.map(\.merchantID)) { rows.append([.int(id)]) }
        var merchants: [Int64: Merchant] = [:]
        try db.batch(
            "SELECT m.id, m.closed_at, m.account_mismatch FROM merchants m, {rows} WHERE m.id = rows.id", rows
        ) { row in
            merchants[row.int(0)] = Merchant(isClosed: !row.isNull(1), allowsStatusDetail: row.bool(2))
        }
        return merchants
    }

    private static let payoutColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("id", .int), ("merchant_id", .int), ("invoice", .text), ("amount_minor", .int), ("currency", .text),
        ("status_id", .int), ("created", .int), ("updated", .int), ("paid", .int), ("seq", .int), ("sequence", .int),
        ("notification_id", .int), ("receiver_id", .int), ("url", .text), ("end_to_end", .text), ("detail", .text),
        ("holds_invoice", .int),
    ]

    private static let insertPayouts = """
        INSERT INTO payouts (id, merchant_id, invoice, amount_minor, currency, status_id, created_at, updated_at,
            paid_at, latest_seq, latest_sequence, latest_notification_id, receiver_id, notification_url, purpose,
            end_to_end, status_detail, holds_invoice)
        SELECT rows.id, rows.merchant_id, rows.invoice, rows.amount_minor, rows.currency, rows.status_id, rows.created,
            rows.updated, rows.paid, rows.seq, rows.sequence, rows.notification_id, rows.receiver_id, rows.url, '20',
            rows.end_to_end, rows.detail, rows.holds_invoice
        FROM {rows} WHERE true
        ON CONFLICT DO NOTHING
        """

    private static let notificationColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("id", .int), ("merchant_id", .int), ("nonce", .int), ("payout_id", .int), ("change_seq", .int),
        ("sequence", .int), ("at", .int), ("body", .blob), ("acked_at", .int), ("acked_seq", .int),
    ]

    private static let insertNotifications = """
        INSERT INTO notifications (id, merchant_id, nonce, payout_id, change_seq, sequence, created_at, body,
            acked_at, acked_seq)
        SELECT rows.id, rows.merchant_id, rows.nonce, rows.payout_id, rows.change_seq, rows.sequence, rows.at,
            rows.body, rows.acked_at, rows.acked_seq
        FROM {rows}
        """

    private static let changeColumns: [(name: String, type: SQLRows.ColumnType)] = [
        ("merchant_id", .int), ("seq", .int), ("payout_id", .int), ("status_id", .int), ("sequence", .int),
        ("at", .int), ("at_s", .int), ("notification_id", .int), ("previous_seq", .int), ("superseded_seq", .int),
    ]

    private static let insertChanges = """
        INSERT INTO status_changes (merchant_id, seq, payout_id, status_id, sequence, changed_at, changed_s,
            notification_id, previous_seq, superseded_seq)
        SELECT rows.merchant_id, rows.seq, rows.payout_id, rows.status_id, rows.sequence, rows.at, rows.at_s,
            rows.notification_id, rows.previous_seq, rows.superseded_seq
        FROM {rows}
        """
}
