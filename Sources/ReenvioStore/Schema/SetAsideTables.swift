extension Tables {
    /// What cannot be read or written and is passed over until `until_at` (engine time), so that it stops nothing else.
    /// `kind` is one of `SetAside.Kind`; `id` is the delivery, queue or receiver.
    static let setAside = [
        """
        CREATE TABLE set_aside (
            merchant_id INTEGER NOT NULL,
            kind TEXT NOT NULL,
            id INTEGER NOT NULL,
            reason TEXT NOT NULL,
            at INTEGER NOT NULL,
            until_at INTEGER NOT NULL,
            PRIMARY KEY (merchant_id, kind, id)
        ) STRICT
        """
    ]
}
