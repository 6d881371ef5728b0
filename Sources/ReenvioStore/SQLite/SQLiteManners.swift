import GRDBSQLite

/// How a process behaves towards others that write the same SQLite file (`docs/architecture.md`, rule 6).
package enum SQLiteManners: Sendable {
    /// A server, and commands that are short.
    case eager
    /// An import: whatever can be late is, for whoever else writes.
    case yielding

    /// SQLite queues nobody for its lock: who looks again first gets it. Its own time-out looks less and less often, up
    /// to every 100 ms, and an import's writes, one close after the other, would keep a server out for seconds.
    private var milliseconds: Int {
        switch self {
        case .eager: 1
        case .yielding: 5
        }
    }

    /// About 10 s, and a minute.
    private var looksMax: Int {
        switch self {
        case .eager: 10_000
        case .yielding: 12_000
        }
    }

    /// Pages in the log at which a commit copies them to the file. Who writes much does it earlier than the others, so
    /// that none of them does it for him, and in pieces that the disk is not busy with for long.
    package var checkpointPages: Int {
        switch self {
        case .eager: 8_000
        case .yielding: 2_000
        }
    }

    /// Sleeps before looking for the lock again; false when it is time to give up.
    package func waitForLock(looks: Int) -> Bool {
        guard looks < looksMax else { return false }
        sqlite3_sleep(CInt(milliseconds))
        return true
    }
}
