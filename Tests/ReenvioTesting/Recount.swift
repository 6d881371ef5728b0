package import ReenvioModel
package import ReenvioStore

/// Counts everything again from the rows, the slow way, and says what does not agree.
package enum Recount {
    /// `now` is engine time: a queue may be looked at again two seconds from now although it holds due work, because
    /// the node that left the work behind claims from it without being told.
    package static func disagreements(in store: Store, now: Timestamp) async throws -> [String] {
        let asleep = try await store.rows(
            """
            SELECT q.merchant_id, q.id, q.next_due FROM queues q WHERE q.next_due > max($1, (
                SELECT min(d.due_at) FROM deliveries d WHERE d.merchant_id = q.merchant_id AND d.queue_id = q.id))
            """,
            columns: 3, [.time(now + .seconds(2))]
        )
        var found = asleep.map { "queue [merchant, id, due] sleeps past its earliest delivery: \($0)" }
        for (what, sql) in checks {
            let rows = try await store.rows(sql, columns: 3)
            found += rows.map { "\(what): \($0)" }
        }
        return found
    }

    private static let checks: [(String, String)] = [
        (
            "minute count [merchant, status, minute] is not what the changes say",
            """
            SELECT merchant_id, status_id, minute FROM (
                SELECT merchant_id, status_id, minute, current, unacked FROM minute_counts
                UNION ALL
                SELECT c.merchant_id, c.status_id, c.changed_s / 60, -1, CASE WHEN n.acked_at IS NULL THEN -1 ELSE 0 END
                FROM status_changes c JOIN notifications n ON n.id = c.notification_id
                WHERE c.superseded_seq IS NULL)
            GROUP BY 1, 2, 3 HAVING sum(current) <> 0 OR sum(unacked) <> 0
            """
        ),
        (
            "payout [id, status, holds] does not hold its invoice as its status says",
            "SELECT id, status_id, holds_invoice FROM payouts WHERE holds_invoice <> (status_id <> 11)"
        ),
        (
            "queue [merchant, id, parked] is not parked as its receiver says",
            """
            SELECT q.merchant_id, q.id, q.parked FROM queues q JOIN receivers r ON r.id = q.receiver_id
            WHERE q.parked <> (coalesce(r.paused_at, r.broken_at, r.resume_at) IS NOT NULL)
            """
        ),
        (
            "resend [id, queued, rows] has other rows than queued",
            """
            SELECT r.id, r.queued, (SELECT count(*) FROM deliveries d
                    WHERE d.merchant_id = r.merchant_id AND d.resend_id = r.id)
                + (SELECT count(*) FROM settled s
                    WHERE s.merchant_id = r.merchant_id AND s.resend_id = r.id) AS total_rows
            FROM resends r WHERE r.queued <> total_rows
            """
        ),
        (
            "resend [id, payout, times] enqueued a payout more than once",
            """
            SELECT resend_id, object, count(*) FROM (
                SELECT resend_id, coalesce(payout_id, event_id) AS object, registration_id FROM deliveries
                WHERE resend_id IS NOT NULL
                UNION ALL SELECT resend_id, object_id, registration_id FROM settled WHERE resend_id IS NOT NULL)
            GROUP BY resend_id, object, registration_id HAVING count(*) > 1
            """
        ),
        (
            "resend [id, queued + failed, total] does not add up",
            """
            SELECT id, queued + failed, total FROM resends
            WHERE queued + failed > total OR (state = 'completed' AND queued + failed <> total)
            """
        ),
        (
            "resend [id, delivered, undelivered] tallies disagree with the settled rows",
            """
            SELECT r.id, coalesce(sum(t.delivered), 0), coalesce(sum(t.undelivered), 0)
            FROM resends r LEFT JOIN resend_tallies t ON t.merchant_id = r.merchant_id AND t.resend_id = r.id
            GROUP BY r.id HAVING
                coalesce(sum(t.delivered), 0) <> (SELECT count(*) FROM settled s WHERE s.merchant_id = r.merchant_id
                    AND s.resend_id = r.id AND s.state = 'acknowledged')
                OR coalesce(sum(t.undelivered), 0) <> (SELECT count(*) FROM settled s
                    WHERE s.merchant_id = r.merchant_id AND s.resend_id = r.id AND s.state IN ('exhausted', 'stopped'))
                OR coalesce(sum(t.skipped), 0) <> (SELECT count(*) FROM settled s WHERE s.merchant_id = r.merchant_id
                    AND s.resend_id = r.id AND s.state = 'skipped')
            """
        ),
        (
            "notification [id, open, settled] has not exactly one live delivery, or is imported and has one",
            """
            SELECT n.id, (SELECT count(*) FROM deliveries d WHERE d.merchant_id = n.merchant_id
                    AND d.notification_id = n.id AND d.resend_id IS NULL) AS open_rows,
                (SELECT count(*) FROM settled s WHERE s.merchant_id = n.merchant_id AND s.object_id = n.payout_id
                    AND s.delivery_id = n.live_delivery_id AND s.resend_id IS NULL) AS settled_rows
            FROM notifications n WHERE open_rows + settled_rows <> (n.live_delivery_id IS NOT NULL)
            """
        ),
        (
            "payout [id, status, latest change's status] disagrees with its history",
            """
            SELECT p.id, p.status_id, c.status_id FROM payouts p
            LEFT JOIN status_changes c ON c.merchant_id = p.merchant_id AND c.seq = p.latest_seq
            WHERE c.status_id IS NULL OR c.status_id <> p.status_id OR c.superseded_seq IS NOT NULL
                OR c.changed_at <> p.updated_at
            """
        ),
        (
            "change [merchant, seq, payout] is current but not the payout's latest",
            """
            SELECT c.merchant_id, c.seq, c.payout_id FROM status_changes c JOIN payouts p ON p.id = c.payout_id
            WHERE c.superseded_seq IS NULL AND c.seq <> p.latest_seq
            """
        ),
        (
            "delivery [merchant, id, queue] has no queue",
            """
            SELECT d.merchant_id, d.id, d.queue_id FROM deliveries d WHERE NOT EXISTS (
                SELECT 1 FROM queues q WHERE q.merchant_id = d.merchant_id AND q.id = d.queue_id)
            """
        ),
    ]
}
