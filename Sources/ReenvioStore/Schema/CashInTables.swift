extension Tables {
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
            notification_id INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, seq)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX object_events_walk ON object_events (merchant_id, category, occurred_s, seq)",
        "CREATE INDEX object_events_of ON object_events (merchant_id, category, object_id, seq)",
        // is_moving: what waits for it has to follow its change of receiver, or to be dropped after its end.
        """
        CREATE TABLE registrations (
            merchant_id INTEGER NOT NULL,
            id INTEGER NOT NULL,
            receiver_id INTEGER NOT NULL,
            url TEXT NOT NULL,
            type TEXT NOT NULL,
            authorization_sealed BLOB,
            functions_key_sealed BLOB,
            key_id TEXT,
            is_moving INTEGER NOT NULL DEFAULT 0,
            deleted_at INTEGER,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, id)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE UNIQUE INDEX registrations_id ON registrations (id)",
        "CREATE INDEX registrations_moving ON registrations (id) WHERE is_moving = 1",
    ]

    /// One registration of a merchant's URL for a type. Of equal ones that were made before, the oldest stays; the
    /// others end as if they were deleted, and their tokens with them.
    static let registrationsOnce = [
        """
        UPDATE registrations SET deleted_at = created_at, is_moving = 1, authorization_sealed = NULL,
            functions_key_sealed = NULL
        WHERE deleted_at IS NULL AND EXISTS (
            SELECT 1 FROM registrations o
            WHERE o.merchant_id = registrations.merchant_id AND o.url = registrations.url
                AND o.type = registrations.type AND o.deleted_at IS NULL AND o.id < registrations.id)
        """,
        "CREATE UNIQUE INDEX registrations_once ON registrations (merchant_id, url, type) WHERE deleted_at IS NULL",
    ]
}
