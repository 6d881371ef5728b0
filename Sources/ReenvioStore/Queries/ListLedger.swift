package import ReenvioModel

extension Store {
    /// A page of a v2 job's ledger, by payout id, and the id to go on after; nil after the last
    /// (`docs/contract.md` 13.4). A page is one snapshot, in which each payout is open, ended or failed. With an
    /// outcome no more than `Limits.ledgerLookedAt` rows are looked at: a page may be short, or empty, and go on.
    package func listLedger(
        _ job: Resend, outcome: LedgerOutcome? = nil, _ page: CursorPage
    ) async throws -> (items: [LedgerItem], after: Int64?) {
        try await engine.read { db in
            let ended = try db.first("SELECT ended FROM resends WHERE id = $1", [.int(job.id)]) { $0.textIfPresent(0) }
            var ledger = Ledger(job: job, isCanceled: ended == .some("canceled"), outcome: outcome)
            try ledger.walk(page, in: db)
            return (try ledger.items(in: db), ledger.after)
        }
    }
}

/// Walks a job's items by payout id: open deliveries, ended ones, and what could not be enqueued.
package struct Ledger {
    /// A row before its payout and its attempts are looked up.
    private struct Entry {
        var payoutID: Int64
        var deliveryID: Int64
        var outcome: LedgerOutcome
        var attempts: Int64
        var notificationID: Int64?
        var statusCode: Int64?
        /// Of an ended one, and of an open one of a canceled job, which ends so; of others the last attempt says it.
        var reason: String?
        var isSettled: Bool
    }

    private struct Payout {
        var invoice: String
        var latestNotificationID: Int64?
    }

    private let job: Resend
    private let wanted: LedgerOutcome?
    /// What an open delivery counts as: a canceled job has nothing pending, though its rows are still to be swept.
    private let openOutcome: LedgerOutcome
    private var entries: [Entry] = []
    private(set) var after: Int64?

    init(job: Resend, isCanceled: Bool, outcome: LedgerOutcome?) {
        self.job = job
        wanted = outcome
        openOutcome = isCanceled ? .skipped : .pending
    }

    mutating func walk(_ page: CursorPage, in db: any SQLConnection) throws {
        let limit = Int(page.limit)
        let size = wanted == nil ? limit + 1 : max(limit + 1, Limits.ledgerStep)
        var position = page.after ?? 0
        var lookedAt = 0
        while true {
            let rows = try rows(after: position, size, in: db)
            lookedAt += rows.count
            entries += rows.filter { wanted == nil || $0.outcome == wanted }
            if entries.count > limit {
                entries.removeLast(entries.count - limit)
                after = entries.last?.payoutID
                return
            }
            guard rows.count == size, let last = rows.last else { return }
            position = last.payoutID
            if lookedAt >= Limits.ledgerLookedAt {
                after = position
                return
            }
        }
    }

    /// The next `size` rows of those kinds that may have the outcome wanted.
    private func rows(after position: Int64, _ size: Int, in db: any SQLConnection) throws -> [Entry] {
        let parameters: [SQLValue] = [.int(job.merchantID), .int(job.id), .int(position), .int(size)]
        var found: [Entry] = []
        if wanted == nil || wanted == openOutcome {
            found += try db.all(Self.open, parameters) { row in
                Entry(
                    payoutID: row.int(0), deliveryID: row.int(1), outcome: openOutcome, attempts: row.int(2),
                    notificationID: nil, statusCode: nil,
                    reason: openOutcome == .skipped ? AttemptFailure.canceled.rawValue : nil, isSettled: false)
            }
        }
        if wanted == nil || wanted == .failed {
            found += try db.all(Self.failed, parameters) { row in
                Entry(
                    payoutID: row.int(0), deliveryID: 0, outcome: .failed, attempts: 0, notificationID: nil,
                    statusCode: nil, reason: row.text(1), isSettled: true)
            }
        }
        if wanted != .pending, wanted != .failed {
            found += try db.all(Self.ended, parameters) { row in
                guard let end = DeliveryEnd(rawValue: row.text(6)) else {
                    throw StoreError.failed("a settled row has an unknown state")
                }
                return Entry(
                    payoutID: row.int(0), deliveryID: row.int(1), outcome: LedgerOutcome(end), attempts: row.int(2),
                    notificationID: row.intIfPresent(3), statusCode: row.intIfPresent(4),
                    reason: row.textIfPresent(5), isSettled: true)
            }
        }
        return Array(found.sorted { $0.payoutID < $1.payoutID }.prefix(size))
    }

    package static let open = """
        SELECT payout_id, id, attempts FROM deliveries
        WHERE merchant_id = $1 AND resend_id = $2 AND payout_id IS NOT NULL AND payout_id > $3
        ORDER BY payout_id LIMIT $4
        """

    package static let failed = """
        SELECT object_id, reason FROM resend_failures
        WHERE merchant_id = $1 AND resend_id = $2 AND object_id > $3 ORDER BY object_id LIMIT $4
        """

    /// Keys first: asked for all columns at once, SQLite prefers the primary key, and walks everything that the
    /// merchant ever sent.
    package static let ended = """
        SELECT s.object_id, s.delivery_id, s.attempts, s.notification_id, s.last_status_code, s.reason, s.state
        FROM (SELECT merchant_id, object_id, delivery_id FROM settled
            WHERE merchant_id = $1 AND resend_id = $2 AND object_id > $3 ORDER BY object_id LIMIT $4) k
        JOIN settled s ON s.merchant_id = k.merchant_id AND s.object_id = k.object_id
            AND s.delivery_id = k.delivery_id
        """
}

// MARK: - What a row shows

extension Ledger {
    func items(in db: any SQLConnection) throws -> [LedgerItem] {
        let attempts = try LastAttempt.find(
            merchantID: job.merchantID, of: entries.filter { $0.outcome != .failed }.map(\.deliveryID), in: db)
        let payouts = try payouts(in: db)
        // What was sent last; what ended unsent, or whose attempts are forgotten, names what it ended with.
        let notifications = entries.map { entry in
            attempts[entry.deliveryID]?.notificationID ?? entry.notificationID
                ?? payouts[entry.payoutID]?.latestNotificationID
        }
        let webhookIDs = try WebhookIDs.find(notifications, in: db)
        return zip(entries, notifications).map { entry, notificationID in
            let last = attempts[entry.deliveryID]
            return LedgerItem(
                payoutID: entry.payoutID, invoice: payouts[entry.payoutID]?.invoice,
                webhookID: notificationID.flatMap { webhookIDs[$0] }, outcome: entry.outcome,
                attempts: entry.attempts, lastStatusCode: entry.statusCode ?? last?.statusCode,
                lastReason: entry.reason ?? (entry.isSettled ? nil : last?.reason), lastAttemptAt: last?.startedAt)
        }
    }

    private func payouts(in db: any SQLConnection) throws -> [Int64: Payout] {
        var rows = SQLRows([("id", .int)], reserving: entries.count)
        for entry in entries { rows.append([.int(entry.payoutID)]) }
        var found: [Int64: Payout] = [:]
        try db.batch(
            "SELECT p.id, p.invoice, p.latest_notification_id FROM payouts p, {rows} WHERE p.id = rows.id", rows
        ) { row in found[row.int(0)] = Payout(invoice: row.text(1), latestNotificationID: row.intIfPresent(2)) }
        return found
    }
}
