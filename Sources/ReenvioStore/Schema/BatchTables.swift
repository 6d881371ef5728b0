extension Tables {
    /// Resends over a range or several merchants. fingerprint is equal for requests that ask for the same; account_id
    /// is null for an operator's. opened_at is when the jobs of a merchant were made; turn grows each time that they
    /// could not be, because another job holds the lock of one of them.
    static let resendBatches = [
        """
        CREATE TABLE resend_batches (
            id INTEGER PRIMARY KEY,
            public_id TEXT NOT NULL,
            account_id INTEGER,
            requested_by TEXT NOT NULL,
            state TEXT NOT NULL,
            range_start INTEGER NOT NULL,
            range_end INTEGER NOT NULL,
            statuses TEXT NOT NULL,
            only_unacked INTEGER NOT NULL,
            max_per_second INTEGER,
            canary INTEGER,
            fingerprint TEXT NOT NULL,
            trace BLOB,
            merchants INTEGER NOT NULL,
            started_at INTEGER NOT NULL,
            ended_at INTEGER
        ) STRICT
        """,
        "CREATE UNIQUE INDEX resend_batches_public ON resend_batches (public_id)",
        "CREATE UNIQUE INDEX resend_batches_lock ON resend_batches (fingerprint) WHERE state = 'processing'",
        "CREATE INDEX resend_batches_alike ON resend_batches (fingerprint, id)",
        "CREATE INDEX resend_batches_running ON resend_batches (id) WHERE state = 'processing'",
        "CREATE INDEX resend_batches_of_account ON resend_batches (account_id, id)",
        "CREATE INDEX resend_batches_ended ON resend_batches (ended_at) WHERE ended_at IS NOT NULL",
        """
        CREATE TABLE resend_batch_merchants (
            batch_id INTEGER NOT NULL,
            merchant_id INTEGER NOT NULL,
            turn INTEGER NOT NULL DEFAULT 0,
            opened_at INTEGER,
            PRIMARY KEY (batch_id, merchant_id)
        ) STRICT, WITHOUT ROWID
        """,
        """
        CREATE INDEX resend_batch_waiting ON resend_batch_merchants (batch_id, turn, merchant_id)
            WHERE opened_at IS NULL
        """,
        "ALTER TABLE resends ADD COLUMN batch_id INTEGER",
        "CREATE INDEX resends_of_batch ON resends (batch_id, merchant_id, id) WHERE batch_id IS NOT NULL",
        """
        CREATE INDEX resends_of_batch_running ON resends (batch_id, merchant_id, id)
            WHERE state = 'processing' AND batch_id IS NOT NULL
        """,
    ]
}
