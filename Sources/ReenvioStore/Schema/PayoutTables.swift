extension Tables {
    static let payouts = [
        // latest_seq is the merchant-clock number of the current change; latest_notification_id the notification that a
        // resend sends, null as long as nothing was ever notified.
        """
        CREATE TABLE payouts (
            id INTEGER PRIMARY KEY,
            merchant_id INTEGER NOT NULL,
            invoice TEXT NOT NULL,
            amount_minor INTEGER NOT NULL,
            currency TEXT NOT NULL,
            status_id INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            paid_at INTEGER,
            latest_seq INTEGER NOT NULL,
            latest_sequence INTEGER NOT NULL,
            latest_notification_id INTEGER,
            receiver_id INTEGER,
            notification_url TEXT,
            purpose TEXT NOT NULL,
            holds_invoice INTEGER NOT NULL DEFAULT 1,
            end_to_end TEXT,
            status_detail TEXT,
            rejection_description TEXT,
            authentication_code TEXT,
            refunded_at INTEGER,
            erased_at INTEGER
        ) STRICT
        """,
        // The duplication block (docs/contract.md 2.1): Invalid Data payouts may share an invoice, others may not. It
        // has a column of its own, because a condition on status_id would move the entry at each status change.
        "CREATE UNIQUE INDEX payouts_invoice ON payouts (merchant_id, invoice) WHERE holds_invoice = 1",
        // kind: payout | qr_code.
        """
        CREATE TABLE parties (
            merchant_id INTEGER NOT NULL,
            kind TEXT NOT NULL,
            object_id INTEGER NOT NULL,
            sealed BLOB NOT NULL,
            key_id TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, kind, object_id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX parties_age ON parties (created_at)",
    ]

    /// Finds the Invalid Data payouts of an invoice, of which there may be several; `payouts_invoice` has the others.
    static let invalidDataInvoices = [
        "CREATE INDEX payouts_invalid_invoice ON payouts (merchant_id, invoice) WHERE status_id = 11"
    ]

    static let changes = [
        """
        CREATE TABLE merchant_clocks (merchant_id INTEGER PRIMARY KEY, seq INTEGER NOT NULL) STRICT
        """,
        // seq is the number on the merchant's clock, sequence the number within the payout. previous_seq chains the
        // history of one payout; superseded_seq is written once, when the next change comes.
        """
        CREATE TABLE status_changes (
            merchant_id INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            payout_id INTEGER NOT NULL,
            status_id INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            changed_at INTEGER NOT NULL,
            changed_s INTEGER NOT NULL,
            notification_id INTEGER,
            previous_seq INTEGER,
            superseded_seq INTEGER,
            PRIMARY KEY (merchant_id, seq)
        ) STRICT, WITHOUT ROWID
        """,
        // What a resend walks and the edges of a count read; it covers both, so neither touches the table.
        """
        CREATE INDEX status_changes_walk
            ON status_changes (merchant_id, changed_s, seq, status_id, superseded_seq, payout_id, notification_id)
            WHERE notification_id IS NOT NULL
        """,
        // Current changes with a notification, per minute of their time.
        """
        CREATE TABLE minute_counts (
            merchant_id INTEGER NOT NULL,
            status_id INTEGER NOT NULL,
            minute INTEGER NOT NULL,
            current INTEGER NOT NULL,
            unacked INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, status_id, minute)
        ) STRICT, WITHOUT ROWID
        """,
        // body is the exact payload; sealed with key_id where that is set (v3 bodies name people).
        """
        CREATE TABLE notifications (
            id INTEGER PRIMARY KEY,
            merchant_id INTEGER NOT NULL,
            nonce INTEGER NOT NULL,
            payout_id INTEGER,
            event_id INTEGER,
            change_seq INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            live_delivery_id INTEGER,
            created_at INTEGER NOT NULL,
            acked_at INTEGER,
            acked_seq INTEGER,
            key_id TEXT,
            body BLOB NOT NULL
        ) STRICT
        """,
    ]

    /// What the edges of a window are counted by, which are no whole minutes; and what an explained dry run counts by:
    /// matching payouts by receiver, and current changes that told nobody.
    static let countedWindows = [
        """
        CREATE TABLE second_counts (
            merchant_id INTEGER NOT NULL,
            second INTEGER NOT NULL,
            status_id INTEGER NOT NULL,
            current INTEGER NOT NULL,
            unacked INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, second, status_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        INSERT INTO second_counts (merchant_id, second, status_id, current, unacked)
        SELECT c.merchant_id, c.changed_s, c.status_id, count(*),
            sum(CASE WHEN n.acked_at IS NULL THEN 1 ELSE 0 END)
        FROM status_changes c JOIN notifications n ON n.id = c.notification_id
        WHERE c.superseded_seq IS NULL
        GROUP BY c.merchant_id, c.changed_s, c.status_id
        """,
        """
        CREATE TABLE receiver_counts (
            merchant_id INTEGER NOT NULL,
            minute INTEGER NOT NULL,
            receiver_id INTEGER NOT NULL,
            status_id INTEGER NOT NULL,
            current INTEGER NOT NULL,
            unacked INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, minute, receiver_id, status_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        INSERT INTO receiver_counts (merchant_id, minute, receiver_id, status_id, current, unacked)
        SELECT c.merchant_id, c.changed_s / 60, p.receiver_id, c.status_id, count(*),
            sum(CASE WHEN n.acked_at IS NULL THEN 1 ELSE 0 END)
        FROM status_changes c
        JOIN payouts p ON p.id = c.payout_id
        JOIN notifications n ON n.id = c.notification_id
        WHERE c.superseded_seq IS NULL AND p.receiver_id IS NOT NULL
        GROUP BY c.merchant_id, c.changed_s / 60, p.receiver_id, c.status_id
        """,
        """
        CREATE INDEX status_changes_silent ON status_changes (merchant_id, changed_s, status_id, payout_id)
            WHERE notification_id IS NULL AND superseded_seq IS NULL
        """,
    ]
}
