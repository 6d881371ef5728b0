package import ReenvioModel

extension Store {
    /// Counts everything again from the rows, the slow way and in one snapshot, and says what does not agree: nothing
    /// in a sound store, whatever runs beside it. Reads every row; no more than 20 disagreements of a kind are named.
    /// - Parameter engineNow: engine time. A queue may be looked at again two seconds from now although it holds due
    ///   work, because the node that left the work behind claims from it without being told.
    package func recount(engineNow: Timestamp) async throws -> [String] {
        try await engine.read { db in
            for statement in db.dialect.beforeLongRead { try db.run(statement) }
            var found: [String] = []
            for check in Recount.checks {
                let parameters: [SQLValue] = check.takesTime ? [.time(engineNow + .seconds(2))] : []
                try db.query(check.sql + " LIMIT 20", parameters) { row in
                    let values = (0..<3).map { row.isNull($0) ? "null" : String(row.int($0)) }
                    found.append("\(check.what): [\(values.joined(separator: ", "))]")
                }
            }
            return found
        }
    }
}

/// What must agree in a store. Each statement yields rows of three numbers, which its text names.
private enum Recount {
    struct Check {
        var what: String
        var takesTime = false
        var sql: String
    }

    static let checks = counters + queues + resends + resendOutcomes + histories

    private static let counters = [
        Check(
            what: "minute count [merchant, status, minute] is not what the changes say",
            sql: """
                SELECT merchant_id, status_id, minute FROM (
                    SELECT merchant_id, status_id, minute, current, unacked FROM minute_counts
                    UNION ALL
                    SELECT c.merchant_id, c.status_id, c.changed_s / 60, -1,
                        CASE WHEN n.acked_at IS NULL THEN -1 ELSE 0 END
                    FROM status_changes c JOIN notifications n ON n.id = c.notification_id
                    WHERE c.superseded_seq IS NULL) AS both_sides
                GROUP BY merchant_id, status_id, minute HAVING sum(current) <> 0 OR sum(unacked) <> 0
                """
        ),
        Check(
            what: "second count [merchant, status, second] is not what the changes say",
            sql: """
                SELECT merchant_id, status_id, second FROM (
                    SELECT merchant_id, status_id, second, current, unacked FROM second_counts
                    UNION ALL
                    SELECT c.merchant_id, c.status_id, c.changed_s, -1, CASE WHEN n.acked_at IS NULL THEN -1 ELSE 0 END
                    FROM status_changes c JOIN notifications n ON n.id = c.notification_id
                    WHERE c.superseded_seq IS NULL) AS both_sides
                GROUP BY merchant_id, status_id, second HAVING sum(current) <> 0 OR sum(unacked) <> 0
                """
        ),
        Check(
            what: "receiver count [merchant, receiver, minute] is not what the changes say",
            sql: """
                SELECT merchant_id, receiver_id, minute FROM (
                    SELECT merchant_id, receiver_id, status_id, minute, current, unacked FROM receiver_counts
                    UNION ALL
                    SELECT c.merchant_id, p.receiver_id, c.status_id, c.changed_s / 60, -1,
                        CASE WHEN n.acked_at IS NULL THEN -1 ELSE 0 END
                    FROM status_changes c JOIN notifications n ON n.id = c.notification_id
                    JOIN payouts p ON p.id = c.payout_id
                    WHERE c.superseded_seq IS NULL) AS both_sides
                GROUP BY merchant_id, receiver_id, status_id, minute HAVING sum(current) <> 0 OR sum(unacked) <> 0
                """
        ),
    ]

    private static let queues = [
        Check(
            what: "queue [merchant, id, due] sleeps past its earliest delivery", takesTime: true,
            sql: """
                SELECT q.merchant_id, q.id, q.next_due FROM queues q WHERE q.next_due > $1 AND q.next_due > (
                    SELECT min(d.due_at) FROM deliveries d WHERE d.merchant_id = q.merchant_id AND d.queue_id = q.id)
                """
        ),
        Check(
            what: "queue [merchant, id, parked] is not parked as its receiver says",
            sql: """
                SELECT q.merchant_id, q.id, q.parked FROM queues q JOIN receivers r ON r.id = q.receiver_id
                WHERE q.parked <>
                    CASE WHEN coalesce(r.paused_at, r.broken_at, r.resume_at) IS NULL THEN 0 ELSE 1 END
                """
        ),
        Check(
            what: "delivery [merchant, id, queue] has no queue",
            sql: """
                SELECT d.merchant_id, d.id, d.queue_id FROM deliveries d WHERE NOT EXISTS (
                    SELECT 1 FROM queues q WHERE q.merchant_id = d.merchant_id AND q.id = d.queue_id)
                """
        ),
    ]

    private static let resends = [
        Check(
            what: "resend [id, queued, rows] has other rows than queued",
            sql: """
                SELECT id, queued, total_rows FROM (
                    SELECT r.id, r.queued, (SELECT count(*) FROM deliveries d
                            WHERE d.merchant_id = r.merchant_id AND d.resend_id = r.id)
                        + (SELECT count(*) FROM settled s
                            WHERE s.merchant_id = r.merchant_id AND s.resend_id = r.id) AS total_rows
                    FROM resends r) AS counted
                WHERE queued <> total_rows
                """
        ),
        Check(
            what: "resend [id, object, times] enqueued something more than once",
            sql: """
                SELECT resend_id, object, count(*) FROM (
                    SELECT resend_id, coalesce(payout_id, event_id) AS object, registration_id FROM deliveries
                    WHERE resend_id IS NOT NULL
                    UNION ALL
                    SELECT resend_id, object_id, registration_id FROM settled WHERE resend_id IS NOT NULL) AS enqueued
                GROUP BY resend_id, object, registration_id HAVING count(*) > 1
                """
        ),
        Check(
            what: "resend [id, failed, rows] names other items than failed",
            sql: """
                SELECT id, failed, named FROM (
                    SELECT r.id, r.failed, r.failed_unnamed, (SELECT count(*) FROM resend_failures f
                        WHERE f.merchant_id = r.merchant_id AND f.resend_id = r.id) AS named
                    FROM resends r) AS counted
                WHERE failed <> named + failed_unnamed
                """
        ),
        Check(
            what: "resend [id, queued + failed, total] does not add up",
            sql: """
                SELECT id, queued + failed, total FROM resends
                WHERE queued + failed > total OR (state = 'completed' AND queued + failed <> total)
                """
        ),
    ]

    /// What was canceled counts as skipped at once, while its rows are still open.
    private static let resendOutcomes = [
        ("delivered", "'acknowledged'", "0"), ("undelivered", "'exhausted', 'stopped'", "0"),
        (
            "skipped", "'skipped'",
            """
            CASE WHEN r.ended = 'canceled' THEN (SELECT count(*) FROM deliveries d
                WHERE d.merchant_id = r.merchant_id AND d.resend_id = r.id) ELSE 0 END
            """
        ),
    ].map { column, states, open in
        Check(
            what: "resend [id, \(column), rows] tallies otherwise than its rows",
            sql: """
                SELECT id, tallied, rows_found FROM (
                    SELECT r.id, (SELECT coalesce(sum(t.\(column)), 0) FROM resend_tallies t
                            WHERE t.merchant_id = r.merchant_id AND t.resend_id = r.id) AS tallied,
                        (SELECT count(*) FROM settled s WHERE s.merchant_id = r.merchant_id AND s.resend_id = r.id
                            AND s.state IN (\(states))) + \(open) AS rows_found
                    FROM resends r) AS counted
                WHERE tallied <> rows_found
                """
        )
    }

    private static let histories = [
        Check(
            what: "payout [id, status, holds] does not hold its invoice as its status says",
            sql: """
                SELECT id, status_id, holds_invoice FROM payouts
                WHERE holds_invoice <> CASE WHEN status_id = 11 THEN 0 ELSE 1 END
                """
        ),
        Check(
            what: "notification [id, open, settled] has not exactly one live delivery, or is imported and has one",
            sql: """
                SELECT id, open_rows, settled_rows FROM (
                    SELECT n.id, n.live_delivery_id, n.created_at, (SELECT count(*) FROM deliveries d
                            WHERE d.merchant_id = n.merchant_id AND d.id = n.live_delivery_id
                                AND d.notification_id = n.id AND d.resend_id IS NULL) AS open_rows,
                        (SELECT count(*) FROM settled s WHERE s.merchant_id = n.merchant_id
                            AND s.object_id = n.payout_id AND s.delivery_id = n.live_delivery_id
                            AND s.resend_id IS NULL) AS settled_rows
                    FROM notifications n WHERE n.payout_id IS NOT NULL) AS counted
                WHERE open_rows + settled_rows <> CASE WHEN live_delivery_id IS NULL THEN 0 ELSE 1 END
                    AND NOT (open_rows + settled_rows = 0 AND \(ForgottenDeliveries.mayBeForgotten("created_at")))
                """
        ),
        Check(
            what: "live delivery [merchant, id, notification] is not its notification's",
            sql: """
                SELECT d.merchant_id, d.id, d.notification_id FROM deliveries d
                LEFT JOIN notifications n ON n.id = d.notification_id
                WHERE d.resend_id IS NULL AND d.payout_id IS NOT NULL
                    AND (n.live_delivery_id IS NULL OR n.live_delivery_id <> d.id)
                """
        ),
        Check(
            what: "payout [id, status, latest change's status] disagrees with its history",
            sql: """
                SELECT p.id, p.status_id, c.status_id FROM payouts p
                LEFT JOIN status_changes c ON c.merchant_id = p.merchant_id AND c.seq = p.latest_seq
                WHERE c.status_id IS NULL OR c.status_id <> p.status_id OR c.superseded_seq IS NOT NULL
                    OR c.changed_at <> p.updated_at
                """
        ),
        Check(
            what: "change [merchant, seq, payout] is current but not the payout's latest",
            sql: """
                SELECT c.merchant_id, c.seq, c.payout_id FROM status_changes c JOIN payouts p ON p.id = c.payout_id
                WHERE c.superseded_seq IS NULL AND c.seq <> p.latest_seq
                """
        ),
    ]
}
