import Foundation
package import ReenvioModel
import Synchronization

/// The real times. Engine time is wall time at the start, carried on by the monotonic clock and slewed towards the wall
/// by at most 1 %, so that a wall clock set forward or back neither storms nor stalls deliveries. Where nodes share a
/// store, it is its server's clock that engine time follows.
package final class SystemClock: TimeSource {
    private struct Anchor {
        var monotonic: ContinuousClock.Instant
        var engine: Timestamp
    }

    private let anchor: Mutex<Anchor>
    /// How far the clock that engine time follows is ahead of this machine's, in microseconds.
    private let ahead: Atomic<Int64>

    package init(ahead: Duration = .zero) {
        self.ahead = Atomic(ahead.microseconds)
        anchor = Mutex(Anchor(monotonic: ContinuousClock.now, engine: Self.wallNow() + ahead))
    }

    package func follow(ahead: Duration) {
        self.ahead.store(ahead.microseconds, ordering: .relaxed)
    }

    package var wall: Timestamp { Self.wallNow() }

    package var engine: Timestamp {
        let target = Self.wallNow().microseconds + ahead.load(ordering: .relaxed)
        return anchor.withLock { anchor in
            let monotonic = ContinuousClock.now
            let elapsed = anchor.monotonic.duration(to: monotonic).microseconds
            let steady = anchor.engine.microseconds + elapsed
            let slew = max(-elapsed / 100, min(elapsed / 100, target - steady))
            let now = Timestamp(microseconds: steady + slew)
            anchor = Anchor(monotonic: monotonic, engine: now)
            return now
        }
    }

    private static func wallNow() -> Timestamp {
        Timestamp(microseconds: Int64((Date().timeIntervalSince1970 * 1_000_000).rounded(.down)))
    }
}
