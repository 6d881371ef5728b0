import ReenvioModel

/// Ends those v3 resends among some whose messages have all ended: a log waits for the outcome, unlike a job
/// (`docs/contract.md` 6.4).
struct EndLogs {
    private let ids: [Int64]
    private let now: Timestamp

    init(ids: [Int64], now: Timestamp) {
        self.ids = ids
        self.now = now
    }

    private struct Ended {
        var id: Int64
        var delivered: Int64
        var total: Int64
        var category: EventCategory
        var isRange: Bool
        var failure: LogFailure?

        var isComplete: Bool { delivered == total }

        var message: String {
            let last = failure ?? LogFailure(text: "external service unavailable")
            return isRange
                ? LogFailure.message(failed: total - delivered, of: total, last: last)
                : LogFailure.message(category: category, last: last)
        }
    }

    /// Locks logs before an outcome of theirs is counted: who writes the last one and who ends the walk see each
    /// other's commit, and one of them ends the log.
    static func lock(_ ids: some Sequence<Int64>, in db: any SQLConnection) throws {
        var rows = SQLRows([("id", .int)])
        for id in Set(ids).sorted() { rows.append([.int(id)]) }
        try db.send(lock, rows)
    }

    func run(in db: any SQLConnection) throws {
        var wanted = SQLRows([("id", .int)])
        for id in ids { wanted.append([.int(id)]) }
        var ended: [Ended] = []
        try db.batch(Self.load, wanted) { row in
            guard let kind = Resend.Kind(rawValue: row.text(1)), let category = kind.category,
                row.int(4) + row.int(5) == row.int(2)
            else { return }
            ended.append(
                Ended(
                    id: row.int(0), delivered: row.int(4), total: row.int(2) + row.int(3), category: category,
                    isRange: row.isNull(6), failure: row.textIfPresent(7).map(LogFailure.init(text:))))
        }
        for log in ended {
            let status: ResendLog.Status = log.isComplete ? .completed : .failed
            try Self.end(id: log.id, status, message: log.isComplete ? nil : log.message, now: now, in: db)
        }
    }

    static func end(
        id: Int64, _ status: ResendLog.Status, message: String?, now: Timestamp, in db: any SQLConnection
    ) throws {
        let state: Resend.State = status == .completed ? .completed : .failed
        try db.run(
            """
            UPDATE resends SET state = $2, ended = $2, log_status = $3, reason = $4, ended_at = $5, updated_at = $5
            WHERE id = $1
            """,
            [.int(id), .text(state.rawValue), .text(status.rawValue), .optional(message), .time(now)])
    }

    private static let lock = "SELECT r.id FROM resends r, {rows} WHERE r.id = rows.id ORDER BY r.id FOR UPDATE OF r"

    /// Of those that wait for nothing but outcomes: delivered, and the others together.
    private static let load = """
        SELECT r.id, r.kind, r.queued, r.failed, coalesce(sum(t.delivered), 0),
            coalesce(sum(t.undelivered + t.skipped), 0), r.object_id, r.failure
        FROM {rows} CROSS JOIN LATERAL (
            SELECT * FROM resends WHERE id = rows.id AND state = 'awaiting' ORDER BY id) AS r
        LEFT JOIN resend_tallies t ON t.merchant_id = r.merchant_id AND t.resend_id = r.id
        GROUP BY r.id, r.kind, r.queued, r.failed, r.object_id, r.failure
        """
}
