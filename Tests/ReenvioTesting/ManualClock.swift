package import ReenvioEngine
package import ReenvioModel
import Synchronization

/// Time that passes only when a test says so.
package final class ManualClock: TimeSource {
    private struct Times {
        var wall: Timestamp
        var engine: Timestamp
        var steady: Timestamp
        var sinceBoot: Duration = .seconds(1_000)
        var boot = 1
        var trusted: TrustedTime?
    }

    private let times: Mutex<Times>

    /// Starts at 2026-03-24 08:00:00 UTC.
    package init(start: Timestamp = Timestamp(seconds: 1_774_339_200)) {
        times = Mutex(Times(wall: start, engine: start, steady: start))
    }

    package var wall: Timestamp { times.withLock { $0.wall } }
    package var engine: Timestamp { times.withLock { $0.engine } }
    /// Never jumps, whatever starts again.
    package var steady: Timestamp { times.withLock { $0.steady } }

    package var reading: ClockReading {
        times.withLock { ClockReading(wall: $0.wall, sinceBoot: $0.sinceBoot, boot: "boot \($0.boot)") }
    }

    package var expiry: Timestamp {
        let now = reading
        return times.withLock { $0.trusted }?.expiry(at: now) ?? now.wall
    }

    package func trust(_ time: TrustedTime) {
        times.withLock { $0.trusted = time }
    }

    package func advance(by span: Duration) {
        times.withLock {
            $0.wall = $0.wall + span
            $0.engine = $0.engine + span
            $0.steady = $0.steady + span
            $0.sinceBoot += span
        }
    }

    /// The wall clock is set; time itself does not jump.
    package func setWall(ahead span: Duration) {
        times.withLock { $0.wall = $0.wall + span }
    }

    /// Another server starts, whose engine time begins there.
    package func startEngine(at engine: Timestamp) {
        times.withLock {
            $0.engine = engine
            $0.trusted = nil
        }
    }

    /// The machine starts again.
    package func reboot() {
        times.withLock {
            $0.boot += 1
            $0.sinceBoot = .seconds(10)
        }
    }
}
