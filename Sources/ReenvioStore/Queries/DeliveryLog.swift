package import ReenvioModel

extension Store {
    /// Most deliveries of one payout that the log shows, the newest.
    package static let loggedDeliveriesMax = 1_000

    /// Everything that was sent for a payout, newest notification first; nil for a payout that the caller does not see.
    /// `now` is engine time, which tells a lease from a wait; times to come are shown by `wall`, the wall clock now.
    package func deliveryLog(
        payoutID: Int64, accountID: Int64?, now: Timestamp, wall: Timestamp? = nil
    ) async throws -> [LoggedNotification]? {
        try await engine.read { db in
            let owner = try db.first(
                """
                SELECT p.merchant_id, p.notification_url, p.receiver_id
                FROM payouts p JOIN merchants m ON m.id = p.merchant_id
                WHERE p.id = $1 AND (CAST($2 AS BIGINT) IS NULL OR m.account_id = $2)
                """, [.int(payoutID), .optional(accountID)]
            ) { (merchantID: $0.int(0), url: $0.textIfPresent(1) ?? "", receiverID: $0.intIfPresent(2)) }
            guard let owner else { return nil }
            let urls = DeliveryURLs(url: owner.url, receiverID: owner.receiverID)
            return try DeliveryLog(
                merchantID: owner.merchantID, payoutID: payoutID, urls: urls, now: now, wall: wall ?? now
            ).notifications(in: db)
        }
    }
}

/// Puts the log of one payout together, in one snapshot. No index serves it alone: notifications are found along the
/// payout's history, ended deliveries by their key, open ones by the resends that may hold them.
private struct DeliveryLog {
    let merchantID: Int64
    let payoutID: Int64
    let urls: DeliveryURLs
    let now: Timestamp
    let wall: Timestamp

    private struct Found {
        var delivery: LoggedDelivery
        /// What it carries now, or carried last; nil for a resend's delivery that was never tried.
        var notificationID: Int64?
    }

    func notifications(in db: any SQLConnection) throws -> [LoggedNotification] {
        var notifications = try history(in: db)
        guard let latest = notifications.first?.id else { return [] }
        let found = try (open(in: db) + ended(in: db)).sorted { $0.delivery.id > $1.delivery.id }
            .prefix(Store.loggedDeliveriesMax)
        var places: [Int64: Int] = [:]
        for (place, notification) in notifications.enumerated() { places[notification.id] = place }
        for one in found {
            // A resend's delivery may have carried an earlier notification before this one.
            var attempts = try attempts(of: one.delivery.id, in: db)
            attempts[one.notificationID ?? latest, default: []] += []
            for (notificationID, attempts) in attempts {
                guard let place = places[notificationID] else { continue }
                var delivery = one.delivery
                delivery.attempts = attempts
                notifications[place].deliveries.append(delivery)
            }
        }
        return notifications
    }

    /// Newest first.
    private func history(in db: any SQLConnection) throws -> [LoggedNotification] {
        var found: [LoggedNotification] = []
        try db.query(
            """
            \(Store.payoutHistorySeqs)
            SELECT n.id, n.nonce, c.status_id, c.sequence, n.created_at, n.acked_at
            FROM status_changes c JOIN notifications n ON n.id = c.notification_id
            WHERE c.merchant_id = $2 AND c.seq IN (SELECT seq FROM history) ORDER BY c.seq DESC
            """, [.int(payoutID), .int(merchantID)]
        ) { row in
            guard let status = PayoutStatus(id: row.int(2)) else { return }
            let webhookID = WebhookID(id: row.int(0), nonce: UInt64(bitPattern: row.int(1)))
            found.append(
                LoggedNotification(
                    id: row.int(0), webhookID: webhookID, status: status, sequence: row.int(3),
                    createdAt: row.time(4), acknowledgedAt: row.timeIfPresent(5)))
        }
        return found
    }

    private func open(in db: any SQLConnection) throws -> [Found] {
        return try [DeliveryLogSQL.live, DeliveryLogSQL.resent].flatMap { sql in
            try db.all(sql, [.int(payoutID), .int(merchantID)]) { row in
                let isInFlight = !row.isNull(2) && row.time(1) > now
                let delivery = LoggedDelivery(
                    id: row.int(0), url: try urls.url(atQueue: row.int(6), in: db), isResend: !row.isNull(4),
                    jobID: row.textIfPresent(5),
                    state: isInFlight ? .inFlight : .waiting,
                    nextAttemptAt: isInFlight ? nil : wall + (row.time(1) - now))
                return Found(delivery: delivery, notificationID: row.intIfPresent(3))
            }
        }
    }

    private func ended(in db: any SQLConnection) throws -> [Found] {
        try db.all(
            """
            SELECT s.delivery_id, s.state, s.notification_id, s.resend_id,
                CASE WHEN r.kind = 'v2-payout' THEN r.public_id END, s.reason, s.queue_id
            FROM settled s LEFT JOIN resends r ON r.id = s.resend_id
            WHERE s.merchant_id = $1 AND s.object_id = $2 AND s.registration_id IS NULL
            ORDER BY s.delivery_id DESC LIMIT $3
            """, [.int(merchantID), .int(payoutID), .int(Store.loggedDeliveriesMax)]
        ) { row in
            let delivery = LoggedDelivery(
                id: row.int(0), url: try urls.url(atQueue: row.int(6), in: db), isResend: !row.isNull(3),
                jobID: row.textIfPresent(4),
                state: LoggedDelivery.State(rawValue: row.text(1)) ?? .skipped, reason: row.textIfPresent(5),
                nextAttemptAt: nil)
            return Found(delivery: delivery, notificationID: row.intIfPresent(2))
        }
    }

    /// By the notification that each carried, in order.
    private func attempts(of deliveryID: Int64, in db: any SQLConnection) throws -> [Int64: [LoggedAttempt]] {
        var found: [Int64: [LoggedAttempt]] = [:]
        try db.query(
            """
            SELECT notification_id, number, started_at, duration_ms, status_code, reason, answer, location FROM attempts
            WHERE merchant_id = $1 AND delivery_id = $2 ORDER BY number, started_at
            """, [.int(merchantID), .int(deliveryID)]
        ) { row in
            found[row.int(0), default: []].append(
                LoggedAttempt(
                    number: row.int(1), at: row.time(2), milliseconds: row.int(3), statusCode: row.intIfPresent(4),
                    reason: row.textIfPresent(5), answer: row.blobIfPresent(6), location: row.textIfPresent(7)))
        }
        return found
    }
}

/// The open deliveries of payout `$1` of merchant `$2`: id, due time, claim, notification, resend, job, queue.
enum DeliveryLogSQL {
    static let live = """
        \(Store.payoutHistorySeqs)
        SELECT d.id, d.due_at, d.claim_token, d.notification_id, NULL, NULL, d.queue_id
        FROM status_changes c JOIN notifications n ON n.id = c.notification_id
        JOIN deliveries d ON d.merchant_id = c.merchant_id AND d.id = n.live_delivery_id
        WHERE c.merchant_id = $2 AND c.seq IN (SELECT seq FROM history)
        """
    // A merchant has few resends with open deliveries, whatever it has of others: the index is leapt through.
    static let resent = """
        WITH RECURSIVE open(id) AS (
            SELECT (SELECT min(resend_id) FROM deliveries
                WHERE merchant_id = $2 AND resend_id IS NOT NULL AND payout_id IS NOT NULL)
            UNION ALL
            SELECT (SELECT min(resend_id) FROM deliveries
                WHERE merchant_id = $2 AND resend_id > o.id AND payout_id IS NOT NULL)
            FROM open o WHERE o.id IS NOT NULL)
        SELECT d.id, d.due_at, d.claim_token, NULL, r.id, CASE WHEN r.kind = 'v2-payout' THEN r.public_id END,
            d.queue_id
        FROM open o CROSS JOIN deliveries d JOIN resends r ON r.id = d.resend_id
        WHERE d.merchant_id = $2 AND d.resend_id = o.id AND d.payout_id = $1
        """
}

/// Where deliveries of one payout went. What ended at another receiver is shown with that one's origin: the payout's
/// URL has changed since.
private struct DeliveryURLs {
    let url: String
    let receiverID: Int64?

    func url(atQueue raw: Int64, in db: any SQLConnection) throws -> String {
        guard let queue = QueueID(raw: raw), queue.receiverID != receiverID else { return url }
        let origin = try db.first("SELECT origin FROM receivers WHERE id = $1", [.int(queue.receiverID)]) { $0.text(0) }
        guard let origin, let receiver = try? ReceiverURL(parsing: origin, policy: .lenient) else { return url }
        let move = OriginMove(merchantID: 0, from: "", to: receiver)
        return move.moved(url) ?? receiver.originText
    }
}
