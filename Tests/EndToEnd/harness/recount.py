"""What a killed server left behind, counted again from the rows of a copy, so that the next server finds it untouched."""

import shutil
import sqlite3
import tempfile
from pathlib import Path

CHECKS = {
    "a minute count is not what the changes say":
        """
        SELECT merchant_id, status_id, minute, sum(current), sum(unacked) FROM (
            SELECT merchant_id, status_id, minute, current, unacked FROM minute_counts
            UNION ALL SELECT c.merchant_id, c.status_id, c.changed_s / 60, -1, CASE WHEN n.acked_at IS NULL THEN -1 ELSE 0 END
            FROM status_changes c JOIN notifications n ON n.id = c.notification_id WHERE c.superseded_seq IS NULL)
        GROUP BY 1, 2, 3 HAVING sum(current) <> 0 OR sum(unacked) <> 0
        """,
    "a resend's counter is not the number of its deliveries":
        """
        SELECT r.id, r.queued, (SELECT count(*) FROM deliveries d WHERE d.resend_id = r.id)
            + (SELECT count(*) FROM settled s WHERE s.resend_id = r.id) AS found FROM resends r WHERE r.queued <> found
        """,
    "a resend enqueued a payout twice":
        """
        SELECT resend_id, object, count(*) FROM (
            SELECT resend_id, payout_id AS object FROM deliveries WHERE resend_id IS NOT NULL
            UNION ALL SELECT resend_id, object_id FROM settled WHERE resend_id IS NOT NULL)
        GROUP BY 1, 2 HAVING count(*) > 1
        """,
    "a resend's total does not add up":
        """
        SELECT id, queued, failed, total FROM resends
        WHERE queued + failed > total OR (state = 'completed' AND queued + failed <> total)
        """,
    "a resend's tallies are not its settled deliveries":
        """
        SELECT id FROM resends r WHERE
            (SELECT coalesce(sum(delivered), 0) * 1000000 + coalesce(sum(undelivered), 0) * 1000 + coalesce(sum(skipped), 0)
             FROM resend_tallies t WHERE t.resend_id = r.id)
            <> (SELECT coalesce(sum(CASE state WHEN 'acknowledged' THEN 1000000 WHEN 'skipped' THEN 1 ELSE 1000 END), 0)
                FROM settled s WHERE s.resend_id = r.id)
        """,
    "a notification has not exactly one live delivery":
        """
        SELECT n.id, (SELECT count(*) FROM deliveries d WHERE d.notification_id = n.id AND d.resend_id IS NULL)
            + (SELECT count(*) FROM settled s WHERE s.merchant_id = n.merchant_id AND s.object_id = n.payout_id
                AND s.delivery_id = n.live_delivery_id AND s.resend_id IS NULL) AS found
        FROM notifications n WHERE found <> 1
        """,
    "a payout is not what its history says":
        """
        SELECT p.id FROM payouts p LEFT JOIN status_changes c ON c.merchant_id = p.merchant_id AND c.seq = p.latest_seq
        WHERE c.status_id IS NULL OR c.status_id <> p.status_id OR c.superseded_seq IS NOT NULL
            OR c.changed_at <> p.updated_at
        """,
    "a delivery has no queue":
        """
        SELECT d.merchant_id, d.id FROM deliveries d WHERE NOT EXISTS (
            SELECT 1 FROM queues q WHERE q.merchant_id = d.merchant_id AND q.id = d.queue_id)
        """,
    "a queue is not parked as its receiver says":
        """
        SELECT q.merchant_id, q.id FROM queues q JOIN receivers r ON r.id = q.receiver_id
        WHERE q.parked <> (coalesce(r.paused_at, r.broken_at, r.resume_at) IS NOT NULL)
        """,
    "a delivery has spent more or fewer attempts than it was claimed for":
        """
        SELECT d.id, d.attempts, (SELECT count(*) FROM attempts a WHERE a.delivery_id = d.id
            AND a.merchant_id = d.merchant_id) AS found
        FROM deliveries d WHERE found > d.attempts OR (d.claim_token IS NULL AND found < d.attempts)
        """,
}


def assert_counters_are_the_rows(house):
    """In a copy of the store's files, as they are now."""
    with tempfile.TemporaryDirectory(dir=house.folder) as folder:
        copied = Path(shutil.copytree(house.store_path.parent, Path(folder) / "copy"))
        connection = sqlite3.connect(copied / house.store_path.name)
        try:
            for what, sql in CHECKS.items():
                rows = connection.execute(sql).fetchmany(5)
                assert not rows, f"{what}: {rows}"
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        finally:
            connection.close()
