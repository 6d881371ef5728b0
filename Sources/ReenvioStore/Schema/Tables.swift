/// The tables, by feature. Times are microseconds since 1970 in columns named `_at`, whole seconds in columns named `_s`.
/// Whatever could be sharded carries `merchant_id` first in its key.
enum Tables {
    static let accounts = [
        """
        CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE accounts (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE merchants (
            id INTEGER PRIMARY KEY,
            account_id INTEGER NOT NULL,
            name TEXT NOT NULL,
            branch TEXT,
            number TEXT,
            account_mismatch INTEGER NOT NULL DEFAULT 0,
            closed_at INTEGER,
            created_at INTEGER NOT NULL
        ) STRICT
        """,
        "CREATE INDEX merchants_of_account ON merchants (account_id, id)",
        "CREATE UNIQUE INDEX merchants_mirror ON merchants (branch, number) WHERE number IS NOT NULL",
        // kind: signing | compat. The newest version signs; older ones until they expire.
        """
        CREATE TABLE secrets (
            merchant_id INTEGER NOT NULL,
            kind TEXT NOT NULL,
            version INTEGER NOT NULL,
            sealed BLOB NOT NULL,
            key_id TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            expires_at INTEGER,
            PRIMARY KEY (merchant_id, kind, version)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE users (
            id INTEGER PRIMARY KEY,
            account_id INTEGER NOT NULL,
            client_id TEXT NOT NULL UNIQUE,
            secret_hash BLOB NOT NULL,
            hmac_sealed BLOB,
            hmac_key_id TEXT,
            all_merchants INTEGER NOT NULL DEFAULT 1,
            deactivated_at INTEGER,
            created_at INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE TABLE user_policies (
            user_id INTEGER NOT NULL,
            merchant_id INTEGER NOT NULL,
            PRIMARY KEY (user_id, merchant_id)
        ) STRICT, WITHOUT ROWID
        """,
        // account_id is null for an operator key.
        """
        CREATE TABLE api_keys (
            id TEXT PRIMARY KEY,
            hash BLOB NOT NULL,
            name TEXT NOT NULL,
            account_id INTEGER,
            scopes TEXT NOT NULL,
            cidrs TEXT NOT NULL,
            expires_at INTEGER,
            revoked_at INTEGER,
            created_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE idempotency_keys (
            account_id INTEGER NOT NULL,
            method TEXT NOT NULL,
            path TEXT NOT NULL,
            key TEXT NOT NULL,
            body_hash BLOB NOT NULL,
            status INTEGER NOT NULL,
            answer BLOB NOT NULL,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (account_id, method, path, key)
        ) STRICT
        """,
        """
        CREATE TABLE audit (
            id INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            account_id INTEGER,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            target TEXT NOT NULL,
            parameters TEXT NOT NULL,
            request_id TEXT,
            address TEXT
        ) STRICT
        """,
    ]

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
            end_to_end TEXT,
            status_detail TEXT,
            rejection_description TEXT,
            authentication_code TEXT
        ) STRICT
        """,
        // The duplication block (docs/contract.md 2.1): Invalid Data payouts may share an invoice, others may not.
        "CREATE UNIQUE INDEX payouts_invoice ON payouts (merchant_id, invoice) WHERE status_id <> 11",
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

    static let cashIn = [
        """
        CREATE TABLE qr_codes (
            id INTEGER PRIMARY KEY,
            merchant_id INTEGER NOT NULL,
            amount_minor INTEGER NOT NULL,
            status TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL
        ) STRICT
        """,
        // category: CASHIN | CASHOUT; object_id a QR code or a payout. Numbered by the same merchant clock.
        """
        CREATE TABLE object_events (
            merchant_id INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            id INTEGER NOT NULL,
            category TEXT NOT NULL,
            object_id INTEGER NOT NULL,
            type TEXT NOT NULL,
            sequence INTEGER NOT NULL,
            occurred_at INTEGER NOT NULL,
            occurred_s INTEGER NOT NULL,
            notification_id INTEGER,
            PRIMARY KEY (merchant_id, seq)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX object_events_walk ON object_events (merchant_id, category, occurred_s, seq)",
        "CREATE INDEX object_events_of ON object_events (merchant_id, category, object_id, seq)",
        """
        CREATE TABLE registrations (
            merchant_id INTEGER NOT NULL,
            id INTEGER NOT NULL,
            url TEXT NOT NULL,
            type TEXT NOT NULL,
            authorization_sealed BLOB,
            functions_key_sealed BLOB,
            key_id TEXT,
            deleted_at INTEGER,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, id)
        ) STRICT, WITHOUT ROWID
        """,
    ]

    static let deliveries = [
        """
        CREATE TABLE receivers (
            id INTEGER PRIMARY KEY,
            merchant_id INTEGER NOT NULL,
            origin TEXT NOT NULL,
            paused_at INTEGER,
            created_at INTEGER NOT NULL
        ) STRICT
        """,
        "CREATE UNIQUE INDEX receivers_origin ON receivers (merchant_id, origin)",
        // id is receiver_id * 4 + lane. next_due is the largest number when nothing waits.
        """
        CREATE TABLE queues (
            merchant_id INTEGER NOT NULL,
            id INTEGER NOT NULL,
            lane INTEGER NOT NULL,
            receiver_id INTEGER NOT NULL,
            next_due INTEGER NOT NULL,
            parked INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (merchant_id, id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX queues_due ON queues (lane, next_due) WHERE parked = 0",
        // Open work only. resend_id is null for live deliveries; registration_id for v2. claim_token is set while an
        // attempt may be in flight; due_at is then the end of its lease.
        """
        CREATE TABLE deliveries (
            merchant_id INTEGER NOT NULL,
            id INTEGER NOT NULL,
            queue_id INTEGER NOT NULL,
            due_at INTEGER NOT NULL,
            payout_id INTEGER,
            notification_id INTEGER,
            resend_id INTEGER,
            event_id INTEGER,
            registration_id INTEGER,
            attempts INTEGER NOT NULL DEFAULT 0,
            claim_token INTEGER,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX deliveries_due ON deliveries (merchant_id, queue_id, due_at, id)",
        """
        CREATE UNIQUE INDEX deliveries_of_job ON deliveries (merchant_id, resend_id, payout_id)
            WHERE resend_id IS NOT NULL AND payout_id IS NOT NULL
        """,
        """
        CREATE UNIQUE INDEX deliveries_of_log ON deliveries (merchant_id, resend_id, event_id, registration_id)
            WHERE resend_id IS NOT NULL AND event_id IS NOT NULL
        """,
        // Ended deliveries. object_id is the payout, or the event in v3.
        """
        CREATE TABLE settled (
            merchant_id INTEGER NOT NULL,
            object_id INTEGER NOT NULL,
            delivery_id INTEGER NOT NULL,
            queue_id INTEGER NOT NULL,
            notification_id INTEGER,
            resend_id INTEGER,
            registration_id INTEGER,
            state TEXT NOT NULL,
            reason TEXT,
            attempts INTEGER NOT NULL,
            last_status_code INTEGER,
            created_at INTEGER NOT NULL,
            ended_at INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, object_id, delivery_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE UNIQUE INDEX settled_of_resend ON settled (merchant_id, resend_id, object_id, registration_id, delivery_id)
            WHERE resend_id IS NOT NULL
        """,
        """
        CREATE TABLE attempts (
            merchant_id INTEGER NOT NULL,
            delivery_id INTEGER NOT NULL,
            number INTEGER NOT NULL,
            attempt_id BLOB NOT NULL,
            notification_id INTEGER NOT NULL,
            started_at INTEGER NOT NULL,
            duration_ms INTEGER NOT NULL,
            status_code INTEGER,
            reason TEXT,
            answer BLOB,
            PRIMARY KEY (merchant_id, delivery_id, number, attempt_id)
        ) STRICT, WITHOUT ROWID
        """,
    ]

    static let resends = [
        // Both faces. frozen_seq is the merchant clock at dispatch (docs/architecture.md, rule 3); the cursor is the last
        // entry looked at; public_id the job id of v2.
        """
        CREATE TABLE resends (
            id INTEGER PRIMARY KEY,
            merchant_id INTEGER NOT NULL,
            account_id INTEGER NOT NULL,
            kind TEXT NOT NULL,
            public_id TEXT,
            user_id INTEGER,
            requested_by TEXT NOT NULL,
            state TEXT NOT NULL,
            ended TEXT,
            reason TEXT,
            window_start INTEGER,
            window_end INTEGER,
            statuses TEXT NOT NULL,
            object_id INTEGER,
            only_unacked INTEGER NOT NULL DEFAULT 0,
            max_per_second INTEGER,
            canary INTEGER,
            frozen_seq INTEGER NOT NULL,
            cursor_s INTEGER NOT NULL,
            cursor_seq INTEGER NOT NULL,
            total INTEGER NOT NULL,
            queued INTEGER NOT NULL DEFAULT 0,
            failed INTEGER NOT NULL DEFAULT 0,
            started_at INTEGER NOT NULL,
            updated_at INTEGER NOT NULL,
            ended_at INTEGER
        ) STRICT
        """,
        "CREATE UNIQUE INDEX resends_public ON resends (public_id) WHERE public_id IS NOT NULL",
        // The lock of docs/contract.md 4.4: one running job per merchant and start time.
        """
        CREATE UNIQUE INDEX resends_lock ON resends (merchant_id, kind, window_start)
            WHERE state = 'processing' AND kind = 'v2-payout'
        """,
        "CREATE INDEX resends_running ON resends (id) WHERE state = 'processing'",
        "CREATE INDEX resends_ended ON resends (ended_at) WHERE ended_at IS NOT NULL",
        """
        CREATE TABLE resend_tallies (
            merchant_id INTEGER NOT NULL,
            resend_id INTEGER NOT NULL,
            shard INTEGER NOT NULL,
            delivered INTEGER NOT NULL,
            undelivered INTEGER NOT NULL,
            skipped INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, resend_id, shard)
        ) STRICT, WITHOUT ROWID
        """,
    ]

    static let sequences =
        [
            "CREATE TABLE id_sequences (name TEXT PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID",
            // The delivery ids in use at the start of each day, for the janitor.
            "CREATE TABLE delivery_marks (day INTEGER PRIMARY KEY, delivery_id INTEGER NOT NULL) STRICT",
        ]
        + IDSequence.allCases.map { "INSERT INTO id_sequences (name, next) VALUES ('\($0.rawValue)', 1)" }
}
