"""Very many payouts, written straight into a store: what the API would have stored, in a hundredth of the time. That it is
that, `reenvio check --deep` says."""

START_S = 1_774_339_200
"""2026-03-24 08:00:00."""
WINDOW_S = 3 * 3_600


def seed(connection, merchant, first, count, url):
    """Paid payouts `first` ... of a merchant, evenly spread over the window, none of them acknowledged."""
    at = f"({START_S} * 1000000 + (i - {first}) * {WINDOW_S * 1_000_000 // count})"
    numbers = f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {first + count - 1})"
    run = connection.execute
    run("INSERT INTO receivers (id, merchant_id, origin, is_known, health_since, created_at) VALUES (?, ?, ?, 1, 0, 0)",
        (merchant, merchant, url.rsplit("/", 1)[0]))
    run(f"""{numbers} INSERT INTO payouts (id, merchant_id, invoice, amount_minor, currency, status_id, created_at, updated_at,
            paid_at, latest_seq, latest_sequence, latest_notification_id, receiver_id, notification_url, purpose)
        SELECT i, {merchant}, 'inv-' || i, 4334, 'BRL', 3, {at} - 60000000, {at}, {at}, 2 * (i - {first}) + 2, 2, i,
            {merchant}, '{url}', '20' FROM n""")
    run(f"""{numbers} INSERT INTO notifications (id, merchant_id, nonce, payout_id, change_seq, sequence, created_at, body)
        SELECT i, {merchant}, i * 7919, i, 2 * (i - {first}) + 2, 2, {at}, CAST('{{"id":' || i || ',"invoice":"inv-' || i ||
            '","end_to_end":null,"status":{{"id":3,"name":"Paid"}},"updated_at":"2026-03-24 08:05:30"}}' AS BLOB) FROM n""")
    run(f"""{numbers} INSERT INTO status_changes (merchant_id, seq, payout_id, status_id, sequence, changed_at, changed_s,
            superseded_seq)
        SELECT {merchant}, 2 * (i - {first}) + 1, i, 7, 1, {at} - 60000000, ({at} - 60000000) / 1000000,
            2 * (i - {first}) + 2 FROM n""")
    run(f"""{numbers} INSERT INTO status_changes (merchant_id, seq, payout_id, status_id, sequence, changed_at, changed_s,
            notification_id, previous_seq)
        SELECT {merchant}, 2 * (i - {first}) + 2, i, 3, 2, {at}, {at} / 1000000, i, 2 * (i - {first}) + 1 FROM n""")
    run(f"""INSERT INTO minute_counts SELECT merchant_id, status_id, changed_s / 60, count(*), count(*) FROM status_changes
        WHERE merchant_id = {merchant} AND notification_id IS NOT NULL GROUP BY changed_s / 60""")
    run(f"""INSERT INTO second_counts SELECT merchant_id, changed_s, status_id, count(*), count(*) FROM status_changes
        WHERE merchant_id = {merchant} AND notification_id IS NOT NULL GROUP BY changed_s""")
    run(f"""INSERT INTO receiver_counts SELECT merchant_id, minute, {merchant}, status_id, current, unacked
        FROM minute_counts WHERE merchant_id = {merchant}""")
    run("UPDATE merchant_clocks SET seq = ? WHERE merchant_id = ?", (2 * count, merchant))
    run("UPDATE id_sequences SET next = max(next, ?) WHERE name IN ('payout', 'notification')", (first + count,))
