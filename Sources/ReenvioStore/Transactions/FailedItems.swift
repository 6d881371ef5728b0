import ReenvioModel

/// Items of one chunk that could not be enqueued, each with its reason: written in the chunk's commit, and kept as long
/// as the resend (`docs/contract.md` 13.4).
struct FailedItems {
    private let merchantID: Int64
    private let resendID: Int64
    private var rows = SQLRows([
        ("merchant_id", .int), ("resend_id", .int), ("object_id", .int), ("registration_id", .int),
        ("notification_id", .int), ("reason", .text),
    ])
    /// How many failed for each reason.
    private(set) var reasons: [AttemptFailure: Int] = [:]

    init(merchantID: Int64, resendID: Int64) {
        self.merchantID = merchantID
        self.resendID = resendID
    }

    var count: Int { rows.count }

    mutating func add(payout id: Int64, _ reason: AttemptFailure) {
        add(object: id, registration: 0, notification: nil, reason)
    }

    mutating func add(event id: Int64, registration: Int64, notification: Int64, _ reason: AttemptFailure) {
        add(object: id, registration: registration, notification: notification, reason)
    }

    private mutating func add(object: Int64, registration: Int64, notification: Int64?, _ reason: AttemptFailure) {
        rows.append([
            .int(merchantID), .int(resendID), .int(object), .int(registration), .optional(notification),
            .text(reason.rawValue),
        ])
        reasons[reason, default: 0] += 1
    }

    func save(in db: any SQLConnection) throws {
        try db.send(
            """
            INSERT INTO resend_failures (merchant_id, resend_id, object_id, registration_id,
                notification_id, reason)
            SELECT rows.merchant_id, rows.resend_id, rows.object_id, rows.registration_id, rows.notification_id,
                rows.reason
            FROM {rows}
            """, rows)
    }

    /// Forgets those of a resend that is about to be forgotten; returns how many. Fewer than `limit`: none is left.
    static func forget(merchantID: Int64, resendID: Int64, limit: Int, in db: any SQLConnection) throws -> Int {
        try db.run(
            """
            DELETE FROM resend_failures WHERE (merchant_id, resend_id, object_id, registration_id) IN (
                SELECT merchant_id, resend_id, object_id, registration_id FROM resend_failures
                WHERE merchant_id = $1 AND resend_id = $2 LIMIT $3)
            """, [.int(merchantID), .int(resendID), .int(limit)])
    }
}
