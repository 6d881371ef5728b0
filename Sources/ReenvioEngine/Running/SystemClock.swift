import Foundation
package import ReenvioModel
import Synchronization

/// The real times. Engine time begins where `EngineStart` says, is carried on by the monotonic clock and slewed towards
/// the wall by at most 1 %, so that a wall clock set forward or back neither storms nor stalls deliveries. Where nodes
/// share a store, it is its server's clock that engine time follows.
package final class SystemClock: TimeSource {
    private struct Anchor {
        var monotonic: ContinuousClock.Instant
        var engine: Timestamp
    }

    private let anchor: Mutex<Anchor>
    /// How far the clock that engine time follows is ahead of this machine's, in microseconds.
    private let ahead: Atomic<Int64>
    private let trusted = Mutex<TrustedTime?>(nil)

    /// - Parameters:
    ///   - ahead: how far the clock that engine time follows is ahead of this machine's.
    ///   - engine: engine time now; nil for that of the clock it follows.
    package init(ahead: Duration = .zero, engine: Timestamp? = nil) {
        self.ahead = Atomic(ahead.microseconds)
        anchor = Mutex(Anchor(monotonic: ContinuousClock.now, engine: engine ?? (Self.wallNow() + ahead)))
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

    package var reading: ClockReading {
        var time = timespec()
        // Of the same clock as the boot id; a system without it has no common clock with any earlier reading.
        guard clock_gettime(CLOCK_BOOTTIME, &time) == 0 else {
            return ClockReading(wall: wall, sinceBoot: .zero, boot: "")
        }
        let sinceBoot = Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1_000
        return ClockReading(wall: wall, sinceBoot: .microseconds(sinceBoot), boot: Self.boot)
    }

    package func trust(_ time: TrustedTime) {
        trusted.withLock { $0 = time }
    }

    package var expiry: Timestamp {
        guard let trusted = trusted.withLock({ $0 }) else { return wall }
        return trusted.expiry(at: reading)
    }

    private static let boot: String = {
        let text = try? String(contentsOfFile: "/proc/sys/kernel/random/boot_id", encoding: .utf8)
        return text.map { $0.filter { !$0.isWhitespace } } ?? ""
    }()

    private static func wallNow() -> Timestamp {
        Timestamp(microseconds: Int64((Date().timeIntervalSince1970 * 1_000_000).rounded(.down)))
    }
}
