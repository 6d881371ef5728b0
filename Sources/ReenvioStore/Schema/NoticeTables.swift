extension Tables {
    /// What the operator's own URL is to be told. due_at is engine time: 0 is at once, the end of a lease while an
    /// attempt is under way, the largest number while the store is held. attempts counts those that were begun.
    static let notices = [
        """
        CREATE TABLE notices (
            id INTEGER PRIMARY KEY,
            type TEXT NOT NULL,
            body BLOB NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            due_at INTEGER NOT NULL,
            created_at INTEGER NOT NULL
        ) STRICT
        """,
        "CREATE INDEX notices_due ON notices (due_at, id)",
        "INSERT INTO id_sequences (name, next) VALUES ('notice', 1)",
    ]

    /// The trace of whoever reported a change or asked for a resend (`TraceParent.bytes`); null where there was none.
    static let traces = [
        "ALTER TABLE notifications ADD COLUMN trace BLOB",
        "ALTER TABLE resends ADD COLUMN trace BLOB",
    ]
}
