/// How PostgreSQL keeps tables in shape that are written all the time. Its defaults clean a table when a fifth of it
/// has changed, which a queue does several times a minute and a history of a billion rows never does.
enum HotTables {
    /// Rows that change in place: room on each page for their next versions, and cleaning after so many changes.
    private static func updated(after changes: Int, fill: Int) -> String {
        """
        fillfactor = \(fill), autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = \(changes),
        autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = \(changes * 5),
        autovacuum_vacuum_cost_delay = 0
        """
    }

    /// Rows that are added and hardly touched again: frozen piece by piece, instead of all at once one day.
    private static let appended = """
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 2000000,
        autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0,
        autovacuum_analyze_threshold = 500000
        """

    static let settings: [(table: String, options: String)] = [
        ("deliveries", updated(after: 20_000, fill: 90)), ("queues", updated(after: 1_000, fill: 50)),
        ("merchant_clocks", updated(after: 1_000, fill: 50)), ("resend_tallies", updated(after: 1_000, fill: 50)),
        ("resends", updated(after: 1_000, fill: 70)), ("receivers", updated(after: 1_000, fill: 70)),
        ("minute_counts", updated(after: 5_000, fill: 70)), ("receiver_counts", updated(after: 5_000, fill: 70)),
        ("idempotency_keys", updated(after: 20_000, fill: 90)), ("payouts", "fillfactor = 85, " + appended),
        ("status_changes", appended), ("notifications", appended), ("settled", appended), ("attempts", appended),
        ("object_events", appended), ("parties", appended),
    ]
}
