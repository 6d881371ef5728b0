package import ReenvioModel

extension Store {
    /// A page of a v3 log's ledger, by event and registration, and the place to go on after; nil after the last
    /// (`docs/contract.md` 13.18). A page is one snapshot, in which each message is open, ended or failed. With an
    /// outcome no more than `Limits.ledgerLookedAt` rows are looked at: a page may be short, or empty, and go on.
    package func listLedger(
        _ log: ResendLogDetails, outcome: LedgerOutcome? = nil, limit: Int64, after place: LogLedgerPlace? = nil
    ) async throws -> (items: [LogLedgerItem], after: LogLedgerPlace?) {
        try await engine.read { db in
            let ended = try db.first("SELECT ended FROM resends WHERE id = $1", [.int(log.log.id)]) {
                $0.textIfPresent(0)
            }
            var ledger = LogLedger(log, isCanceled: ended == .some("canceled"), outcome: outcome)
            try ledger.walk(limit: Int(limit), after: place, in: db)
            return (try ledger.items(in: db), ledger.after)
        }
    }
}

/// Walks a log's messages by event and registration: open deliveries, ended ones, and what could not be enqueued.
package struct LogLedger {
    /// A row before its event and its attempts are looked up.
    private struct Entry {
        var place: LogLedgerPlace
        /// Nil for what could not be enqueued.
        var deliveryID: Int64?
        var outcome: LedgerOutcome
        var attempts: Int64
        var notificationID: Int64?
        var statusCode: Int64?
        /// Of an ended one, and of an open one of a canceled log, which ends so; of others the last attempt says it.
        var reason: String?
        var isOpen: Bool
    }

    private let merchantID: Int64
    private let logID: Int64
    private let wanted: LedgerOutcome?
    /// What an open delivery counts as: a canceled log has nothing pending, though its rows are still to be swept.
    private let openOutcome: LedgerOutcome
    private var entries: [Entry] = []
    private(set) var after: LogLedgerPlace?

    init(_ log: ResendLogDetails, isCanceled: Bool, outcome: LedgerOutcome?) {
        merchantID = log.merchantID
        logID = log.log.id
        wanted = outcome
        openOutcome = isCanceled ? .skipped : .pending
    }

    mutating func walk(limit: Int, after start: LogLedgerPlace?, in db: any SQLConnection) throws {
        let size = wanted == nil ? limit + 1 : max(limit + 1, Limits.ledgerStep)
        var place = start ?? .start
        var lookedAt = 0
        while true {
            let rows = try rows(after: place, size, in: db)
            lookedAt += rows.count
            entries += rows.filter { wanted == nil || $0.outcome == wanted }
            if entries.count > limit {
                entries.removeLast(entries.count - limit)
                after = entries.last?.place
                return
            }
            guard rows.count == size, let last = rows.last else { return }
            place = last.place
            if lookedAt >= Limits.ledgerLookedAt {
                after = place
                return
            }
        }
    }

    /// The next `size` rows of those kinds that may have the outcome wanted.
    private func rows(after place: LogLedgerPlace, _ size: Int, in db: any SQLConnection) throws -> [Entry] {
        let parameters: [SQLValue] = [
            .int(merchantID), .int(logID), .int(place.eventID), .int(place.registrationID), .int(size),
        ]
        var found: [Entry] = []
        if wanted == nil || wanted == openOutcome {
            let reason = openOutcome == .skipped ? AttemptFailure.canceled.rawValue : nil
            found += try db.all(Self.open, parameters) { row in
                Entry(
                    place: LogLedgerPlace(eventID: row.int(0), registrationID: row.int(1)), deliveryID: row.int(2),
                    outcome: openOutcome, attempts: row.int(3), notificationID: row.intIfPresent(4), reason: reason,
                    isOpen: true)
            }
        }
        if wanted == nil || wanted == .failed {
            found += try db.all(Self.failed, parameters) { row in
                Entry(
                    place: LogLedgerPlace(eventID: row.int(0), registrationID: row.int(1)), deliveryID: nil,
                    outcome: .failed, attempts: 0, notificationID: row.intIfPresent(2), reason: row.text(3),
                    isOpen: false)
            }
        }
        if wanted != .pending, wanted != .failed {
            found += try db.all(Self.ended, parameters) { row in
                guard let end = DeliveryEnd(rawValue: row.text(5)) else {
                    throw StoreError.failed("a settled row has an unknown state")
                }
                return Entry(
                    place: LogLedgerPlace(eventID: row.int(0), registrationID: row.int(1)), deliveryID: row.int(2),
                    outcome: LedgerOutcome(end), attempts: row.int(3), notificationID: row.intIfPresent(4),
                    statusCode: row.intIfPresent(6), reason: row.textIfPresent(7), isOpen: false)
            }
        }
        return Array(
            found.sorted {
                ($0.place.eventID, $0.place.registrationID) < ($1.place.eventID, $1.place.registrationID)
            }.prefix(size))
    }

    func items(in db: any SQLConnection) throws -> [LogLedgerItem] {
        let attempts = try LastAttempt.find(merchantID: merchantID, of: entries.compactMap(\.deliveryID), in: db)
        let events = try events(in: db)
        let webhookIDs = try WebhookIDs.find(entries.map(\.notificationID), in: db)
        return entries.map { entry in
            let last = entry.deliveryID.flatMap { attempts[$0] }
            let event = entry.notificationID.flatMap { events[$0] }
            return LogLedgerItem(
                eventID: entry.place.eventID, registrationID: entry.place.registrationID, objectID: event?.objectID,
                type: event?.type, webhookID: entry.notificationID.flatMap { webhookIDs[$0] },
                outcome: entry.outcome, attempts: entry.attempts, lastStatusCode: entry.statusCode ?? last?.statusCode,
                lastReason: entry.reason ?? (entry.isOpen ? last?.reason : nil), lastAttemptAt: last?.startedAt)
        }
    }

    /// The events of notifications, by the notification's id.
    private func events(in db: any SQLConnection) throws -> [Int64: (objectID: Int64, type: String)] {
        var rows = SQLRows([("id", .int)], reserving: entries.count)
        for case let id? in entries.map(\.notificationID) { rows.append([.int(id)]) }
        var found: [Int64: (objectID: Int64, type: String)] = [:]
        try db.batch(
            """
            SELECT n.id, o.object_id, o.type FROM notifications n
            JOIN object_events o ON o.merchant_id = n.merchant_id AND o.seq = n.change_seq, {rows}
            WHERE n.id = rows.id
            """, rows
        ) { found[$0.int(0)] = ($0.int(1), $0.text(2)) }
        return found
    }

    package static let open = """
        SELECT event_id, registration_id, id, attempts, notification_id FROM deliveries
        WHERE merchant_id = $1 AND resend_id = $2 AND event_id IS NOT NULL AND (event_id, registration_id) > ($3, $4)
        ORDER BY event_id, registration_id LIMIT $5
        """

    package static let failed = """
        SELECT object_id, registration_id, notification_id, reason FROM resend_failures
        WHERE merchant_id = $1 AND resend_id = $2 AND (object_id, registration_id) > ($3, $4)
        ORDER BY object_id, registration_id LIMIT $5
        """

    /// Keys first, as in the ledger of a job.
    package static let ended = """
        SELECT s.object_id, s.registration_id, s.delivery_id, s.attempts, s.notification_id, s.state,
            s.last_status_code, s.reason
        FROM (SELECT merchant_id, object_id, registration_id, delivery_id FROM settled
            WHERE merchant_id = $1 AND resend_id = $2 AND (object_id, registration_id) > ($3, $4)
            ORDER BY object_id, registration_id LIMIT $5) k
        JOIN settled s ON s.merchant_id = k.merchant_id AND s.object_id = k.object_id
            AND s.delivery_id = k.delivery_id
        """
}
