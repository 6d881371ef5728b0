extension Tables {
    /// What probes of a broken receiver go by (`Breaker`), and the last acknowledgement of one that fails now and then
    /// (`MachineHealth`). Times are engine times, URLs fingerprints.
    static let probes = [
        "ALTER TABLE receivers ADD COLUMN held_until INTEGER",
        "ALTER TABLE receivers ADD COLUMN probed_at INTEGER",
        "ALTER TABLE receivers ADD COLUMN probing_since INTEGER",
        "ALTER TABLE receivers ADD COLUMN failed_url INTEGER",
        "ALTER TABLE receivers ADD COLUMN well_url INTEGER",
        "ALTER TABLE receivers ADD COLUMN acked_at INTEGER",
    ]
}
