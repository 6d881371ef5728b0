extension Tables {
    /// Histories that only grow, in pieces of time where a server holds them (`TimePieces`): forgetting then drops a
    /// piece instead of deleting its rows. `CUT` is read by `Dialect`; a file of SQLite stays whole.
    static let pieces =
        [
            // A condition on status_id would keep the new version of a payout's row from staying on its page.
            "DROP INDEX payouts_invalid_invoice",
            "CREATE INDEX payouts_invalid_invoice ON payouts (merchant_id, invoice) WHERE holds_invoice = 0",
        ]
        + TimePieces.all.map { "CUT \($0.table)" }
}
