package import ReenvioEngine
package import ReenvioModel
import Synchronization

/// Time that passes only when a test says so.
package final class ManualClock: TimeSource {
    private let times: Mutex<(wall: Timestamp, engine: Timestamp)>

    /// Starts at 2026-03-24 08:00:00 UTC.
    package init(start: Timestamp = Timestamp(seconds: 1_774_339_200)) {
        times = Mutex((start, start))
    }

    package var wall: Timestamp { times.withLock { $0.wall } }
    package var engine: Timestamp { times.withLock { $0.engine } }

    package func advance(by span: Duration) {
        times.withLock { $0 = ($0.wall + span, $0.engine + span) }
    }

    /// The wall clock is set; time itself does not jump.
    package func setWall(ahead span: Duration) {
        times.withLock { $0.wall = $0.wall + span }
    }
}
