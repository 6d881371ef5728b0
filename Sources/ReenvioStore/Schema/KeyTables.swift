extension Tables {
    /// merchants lists the ids of the merchants that a key is limited to; null is every one of its account. An operator
    /// key that may do everything has the scope `*`. Keys of accounts with all of the former default scopes keep what
    /// these allowed: people's data and the audit.
    static let scopedKeys = [
        "ALTER TABLE api_keys ADD COLUMN merchants TEXT",
        "UPDATE api_keys SET scopes = '*' WHERE account_id IS NULL",
        """
        UPDATE api_keys SET scopes = scopes || ',people:read,audit:read'
        WHERE account_id IS NOT NULL AND scopes LIKE '%payouts:read%' AND scopes LIKE '%payouts:write%'
            AND scopes LIKE '%resend:dry-run%' AND scopes LIKE '%resend:write%' AND scopes LIKE '%receivers:write%'
        """,
    ]
}
