extension Tables {
    static let deliveries = [
        // Nothing but probes goes to a receiver between broken_at and the end of its breaker; probe_at is when the next
        // probe may go; resume_at is when to look: then, later where nothing is due, or when a hold (Retry-After) ends.
        // health_since dates the last change of the health that is shown.
        """
        CREATE TABLE receivers (
            id INTEGER PRIMARY KEY,
            merchant_id INTEGER NOT NULL,
            origin TEXT NOT NULL,
            is_known INTEGER NOT NULL DEFAULT 0,
            paused_at INTEGER,
            broken_at INTEGER,
            failed_probes INTEGER NOT NULL DEFAULT 0,
            acked_probes INTEGER NOT NULL DEFAULT 0,
            probe_at INTEGER,
            resume_at INTEGER,
            is_slow INTEGER NOT NULL DEFAULT 0,
            health_since INTEGER NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT
        """,
        """
        CREATE INDEX receivers_resuming ON receivers (resume_at) WHERE resume_at IS NOT NULL AND paused_at IS NULL
        """,
        "CREATE INDEX receivers_broken ON receivers (broken_at) WHERE broken_at IS NOT NULL",
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
        """
        CREATE INDEX deliveries_of_registration ON deliveries (merchant_id, registration_id, event_id)
            WHERE registration_id IS NOT NULL
        """,
        // Finds what has to follow a registration to another receiver.
        """
        CREATE INDEX deliveries_to_move ON deliveries (merchant_id, registration_id, queue_id)
            WHERE registration_id IS NOT NULL
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
        CREATE UNIQUE INDEX settled_of_resend 
            ON settled (merchant_id, resend_id, object_id, registration_id, delivery_id)
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

    /// The `Location` of an answer that redirects; null for others.
    static let redirects = ["ALTER TABLE attempts ADD COLUMN location TEXT"]
}
