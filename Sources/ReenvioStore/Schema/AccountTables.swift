extension Tables {
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
        // What access tokens are signed with; the two newest are valid.
        """
        CREATE TABLE token_keys (
            id TEXT PRIMARY KEY,
            version INTEGER NOT NULL UNIQUE,
            sealed BLOB NOT NULL,
            key_id TEXT NOT NULL,
            created_at INTEGER NOT NULL
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
        // object_id is the payout or resend that the request made; 0 only inside the transaction that makes it. Answers
        // are made again from that row, so no copy of people's data lies here.
        """
        CREATE TABLE idempotency_keys (
            account_id INTEGER NOT NULL,
            method TEXT NOT NULL,
            path TEXT NOT NULL,
            key TEXT NOT NULL,
            body_hash BLOB NOT NULL,
            object_id INTEGER NOT NULL,
            created_at INTEGER NOT NULL,
            PRIMARY KEY (account_id, method, path, key)
        ) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at)",
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
}
