"""Very many payouts, written straight into a store: what the API would have stored, in a hundredth of the time. That it is
that, `reenvio check --deep` says."""

START_S = 1_774_339_200
"""2026-03-24 08:00:00."""
WINDOW_S = 3 * 3_600



def statements(merchant, first, count, url, postgres=False):
    """What stores paid payouts `first` ... of a merchant, evenly spread over the window, none of them acknowledged."""
    at = f"({START_S * 1_000_000} + (i - {first}) * {WINDOW_S * 1_000_000 // count})"
    last = first + count - 1
    if postgres:
        numbers, source = "", f"generate_series(CAST({first} AS BIGINT), {last}) AS n(i)"
    else:
        numbers = f"WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) "
        source = "n"
    body = (f"""'{{"id":' || i || ',"invoice":"inv-' || i ||
        '","end_to_end":null,"status":{{"id":3,"name":"Paid"}},"updated_at":"2026-03-24 08:05:30"}}'""")
    body = f"convert_to({body}, 'UTF8')" if postgres else f"CAST({body} AS BLOB)"
    counted = f"FROM status_changes WHERE merchant_id = {merchant} AND notification_id IS NOT NULL"
    if postgres:
        ids = [f"SELECT setval('ids_{name}', {first + count})" for name in ("payout", "notification")]
    else:
        ids = [f"UPDATE id_sequences SET next = max(next, {first + count}) WHERE name IN ('payout', 'notification')"]
    return [
        f"""INSERT INTO receivers (id, merchant_id, origin, is_known, health_since, created_at)
            VALUES ({merchant}, {merchant}, '{url.rsplit("/", 1)[0]}', 1, 0, 0)""",
        f"""{numbers}INSERT INTO payouts (id, merchant_id, invoice, amount_minor, currency, status_id, created_at,
                updated_at, paid_at, latest_seq, latest_sequence, latest_notification_id, receiver_id, notification_url,
                purpose)
            SELECT i, {merchant}, 'inv-' || i, 4334, 'BRL', 3, {at} - 60000000, {at}, {at}, 2 * (i - {first}) + 2, 2, i,
                {merchant}, '{url}', '20' FROM {source}""",
        f"""{numbers}INSERT INTO notifications (id, merchant_id, nonce, payout_id, change_seq, sequence, created_at, body)
            SELECT i, {merchant}, i * 7919, i, 2 * (i - {first}) + 2, 2, {at}, {body} FROM {source}""",
        f"""{numbers}INSERT INTO status_changes (merchant_id, seq, payout_id, status_id, sequence, changed_at, changed_s,
                superseded_seq)
            SELECT {merchant}, 2 * (i - {first}) + 1, i, 7, 1, {at} - 60000000, ({at} - 60000000) / 1000000,
                2 * (i - {first}) + 2 FROM {source}""",
        f"""{numbers}INSERT INTO status_changes (merchant_id, seq, payout_id, status_id, sequence, changed_at, changed_s,
                notification_id, previous_seq)
            SELECT {merchant}, 2 * (i - {first}) + 2, i, 3, 2, {at}, {at} / 1000000, i, 2 * (i - {first}) + 1
            FROM {source}""",
        f"""INSERT INTO minute_counts SELECT merchant_id, status_id, changed_s / 60, count(*), count(*) {counted}
            GROUP BY merchant_id, status_id, changed_s / 60""",
        f"""INSERT INTO second_counts SELECT merchant_id, changed_s, status_id, count(*), count(*) {counted}
            GROUP BY merchant_id, changed_s, status_id""",
        f"""INSERT INTO receiver_counts SELECT merchant_id, minute, {merchant}, status_id, current, unacked
            FROM minute_counts WHERE merchant_id = {merchant}""",
        f"UPDATE merchant_clocks SET seq = {2 * count} WHERE merchant_id = {merchant}",
    ] + ids


def seed(connection, merchant, first, count, url):
    """Into a file of SQLite."""
    for statement in statements(merchant, first, count, url):
        connection.execute(statement)


def seed_shared(house, merchant, first, count, url):
    """Into a store on PostgreSQL (`SharedHouse`), in one transaction, with the tables analyzed as a running server's are."""
    text = ";\n".join(["BEGIN", *statements(merchant, first, count, url, postgres=True), "COMMIT", "ANALYZE"])
    house.postgres.query(text, house.database, within=3600)
