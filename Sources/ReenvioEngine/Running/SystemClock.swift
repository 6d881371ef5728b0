import Foundation
package import ReenvioModel
import Synchronization

/// The real times. Engine time is wall time at the start, carried on by the monotonic clock and slewed towards the wall
/// by at most 1 %, so that a wall clock set forward or back neither storms nor stalls deliveries.
package final class SystemClock: TimeSource {
    private struct Anchor {
        var monotonic: ContinuousClock.Instant
        var engine: Timestamp
    }

    private let anchor: Mutex<Anchor>

    package init() {
        anchor = Mutex(Anchor(monotonic: ContinuousClock.now, engine: Self.wallNow()))
    }

    package var wall: Timestamp { Self.wallNow() }

    package var engine: Timestamp {
        let wall = Self.wallNow()
        return anchor.withLock { anchor in
            let monotonic = ContinuousClock.now
            let elapsed = anchor.monotonic.duration(to: monotonic).microseconds
            let steady = anchor.engine.microseconds + elapsed
            let slew = max(-elapsed / 100, min(elapsed / 100, wall.microseconds - steady))
            let now = Timestamp(microseconds: steady + slew)
            anchor = Anchor(monotonic: monotonic, engine: now)
            return now
        }
    }

    private static func wallNow() -> Timestamp {
        Timestamp(microseconds: Int64((Date().timeIntervalSince1970 * 1_000_000).rounded(.down)))
    }
}
