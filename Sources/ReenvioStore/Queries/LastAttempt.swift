import ReenvioModel

/// The last attempt of a delivery, as ledgers show it.
struct LastAttempt {
    var notificationID: Int64
    var startedAt: Timestamp
    var statusCode: Int64?
    var reason: String?

    /// Of each delivery that has one; of two with one number, which a late result leaves behind, the later.
    static func find(
        merchantID: Int64, of deliveryIDs: [Int64], in db: any SQLConnection
    ) throws -> [Int64: LastAttempt] {
        var rows = SQLRows([("merchant_id", .int), ("id", .int)], reserving: deliveryIDs.count)
        for id in deliveryIDs { rows.append([.int(merchantID), .int(id)]) }
        var found: [Int64: LastAttempt] = [:]
        try db.batch(
            """
            SELECT a.delivery_id, a.notification_id, a.started_at, a.status_code, a.reason FROM attempts a, {rows}
            WHERE a.merchant_id = rows.merchant_id AND a.delivery_id = rows.id AND a.number = (
                SELECT max(b.number) FROM attempts b
                WHERE b.merchant_id = rows.merchant_id AND b.delivery_id = rows.id)
            """, rows
        ) { row in
            let attempt = LastAttempt(
                notificationID: row.int(1), startedAt: row.time(2), statusCode: row.intIfPresent(3),
                reason: row.textIfPresent(4))
            if let other = found[row.int(0)], other.startedAt > attempt.startedAt { return }
            found[row.int(0)] = attempt
        }
        return found
    }
}

/// The webhook ids of notifications, by the notification's own id.
enum WebhookIDs {
    static func find(_ ids: [Int64?], in db: any SQLConnection) throws -> [Int64: WebhookID] {
        var rows = SQLRows([("id", .int)], reserving: ids.count)
        for case let id? in ids { rows.append([.int(id)]) }
        var found: [Int64: WebhookID] = [:]
        try db.batch("SELECT n.id, n.nonce FROM notifications n, {rows} WHERE n.id = rows.id", rows) { row in
            found[row.int(0)] = WebhookID(id: row.int(0), nonce: UInt64(bitPattern: row.int(1)))
        }
        return found
    }
}
