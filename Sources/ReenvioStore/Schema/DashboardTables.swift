extension Tables {
    /// Whoever is signed in at the dashboard, and what its pages look for.
    static let dashboard = [
        // hash is that of the cookie: a copy of the store opens no session.
        """
        CREATE TABLE dashboard_sessions (
            hash BLOB PRIMARY KEY,
            key_id TEXT NOT NULL,
            created_at INTEGER NOT NULL,
            seen_at INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX dashboard_sessions_age ON dashboard_sessions (seen_at)",
        "CREATE INDEX payouts_end_to_end ON payouts (end_to_end) WHERE end_to_end IS NOT NULL",
        "CREATE INDEX audit_of_account ON audit (account_id, id)",
        """
        CREATE INDEX receivers_sick ON receivers (health_since)
            WHERE paused_at IS NOT NULL OR broken_at IS NOT NULL OR is_slow = 1
        """,
    ]

    /// Lists of v2's jobs and of v3's logs, which stand in one table; of either there may be very many.
    static let jobLists = [
        "CREATE INDEX resends_jobs ON resends (id) WHERE kind = 'v2-payout'",
        "CREATE INDEX resends_jobs_of_account ON resends (account_id, id) WHERE kind = 'v2-payout'",
        "CREATE INDEX resends_jobs_of_merchant ON resends (merchant_id, id) WHERE kind = 'v2-payout'",
        "CREATE INDEX resends_logs ON resends (id) WHERE log_status IS NOT NULL",
        "CREATE INDEX resends_logs_of_account ON resends (account_id, id) WHERE log_status IS NOT NULL",
    ]
}
