import GRDBSQLite

/// How a connection waits for the lock of a SQLite file while another process writes. SQLite queues nobody: who looks
/// again first gets it. Its own time-out looks less and less often, up to every 100 ms, and an import's writes, one close
/// after the other, would keep a server out for seconds.
package enum LockWaiting: Sendable {
    /// A server and short commands: looks every millisecond, gives up after about 10 s.
    case eager
    /// Work that may be late: leaves the lock to the others, gives up after about a minute.
    case yielding

    private var milliseconds: Int {
        switch self {
        case .eager: 1
        case .yielding: 5
        }
    }

    private var looks: Int {
        switch self {
        case .eager: 10_000
        case .yielding: 12_000
        }
    }

    /// Sleeps before the next look; false when it is time to give up.
    func again(after looks: Int) -> Bool {
        guard looks < self.looks else { return false }
        sqlite3_sleep(CInt(milliseconds))
        return true
    }
}
