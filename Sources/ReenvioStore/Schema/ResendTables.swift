extension Tables {
    static let resends = [
        // Both faces. frozen_seq is the merchant clock at dispatch (docs/architecture.md, rule 3); the cursor is the
        // last entry looked at; public_id the job id of v2. Of a v3 log: log_status is the status shown, mirror_id the
        // account that its request named, registrations those that its messages go to, failure the last message's.
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
            mirror_id INTEGER,
            log_status TEXT,
            registrations TEXT,
            failure TEXT,
            sweep_pending INTEGER NOT NULL DEFAULT 0,
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
        // Canceled, and not all of their deliveries are swept.
        "CREATE INDEX resends_sweeping ON resends (id) WHERE sweep_pending = 1",
        "CREATE INDEX resends_awaiting ON resends (started_at) WHERE state = 'awaiting'",
        // The lists of a user's logs (docs/contract.md 7): one index per filter, and one for the two that may both be
        // met by very many rows.
        "CREATE INDEX resends_of_user ON resends (user_id, started_at, id) WHERE user_id IS NOT NULL",
        "CREATE INDEX resends_by_status ON resends (user_id, log_status, started_at, id) WHERE user_id IS NOT NULL",
        "CREATE INDEX resends_by_object ON resends (user_id, object_id, started_at, id) WHERE user_id IS NOT NULL",
        "CREATE INDEX resends_by_mirror ON resends (user_id, mirror_id, started_at, id) WHERE user_id IS NOT NULL",
        """
        CREATE INDEX resends_by_mirror_status ON resends (user_id, mirror_id, log_status, started_at, id)
            WHERE user_id IS NOT NULL
        """,
        "CREATE INDEX resends_of_account ON resends (account_id, id)",
        "CREATE INDEX resends_of_merchant ON resends (merchant_id, id)",
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

    /// next_slot is where the pace of a resend stands (`PaceSlots`); canary_passed is set once the first ones were
    /// acknowledged. has_slot: due_at is a slot of the pace.
    static let pacedResends = [
        "ALTER TABLE resends ADD COLUMN next_slot INTEGER",
        "ALTER TABLE resends ADD COLUMN canary_passed INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE deliveries ADD COLUMN has_slot INTEGER NOT NULL DEFAULT 0",
    ]
    /// Items of resends that could not be enqueued, written with the chunk that counts them as failed: object_id is the
    /// payout, or the event in v3; registration_id is 0 and notification_id null in v2. failed_unnamed counts those
    /// from before this table.
    static let failedItems = [
        """
        CREATE TABLE resend_failures (
            merchant_id INTEGER NOT NULL,
            resend_id INTEGER NOT NULL,
            object_id INTEGER NOT NULL,
            registration_id INTEGER NOT NULL,
            notification_id INTEGER,
            reason TEXT NOT NULL,
            PRIMARY KEY (merchant_id, resend_id, object_id, registration_id)
        ) STRICT, WITHOUT ROWID
        """,
        "ALTER TABLE resends ADD COLUMN failed_unnamed INTEGER NOT NULL DEFAULT 0",
        "UPDATE resends SET failed_unnamed = failed",
        // Neither column changes but when a payout is erased: payouts stay on their pages.
        "CREATE INDEX payouts_erased ON payouts (merchant_id, id) WHERE erased_at IS NOT NULL",
    ]
}
