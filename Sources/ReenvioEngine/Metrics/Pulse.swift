package import ReenvioModel
import Synchronization

/// What this node did in each of the last sixty minutes, for the dashboard's charts: over all, by merchant and by
/// receiver. In memory only, and bounded: of more than `trackedMax` merchants or receivers those that were quiet for
/// longest are forgotten.
package final class Pulse: Sendable {
    package static let minutes = 60
    private static let trackedMax = 2_000

    /// Counts of one minute.
    package struct Beat: Sendable, Equatable {
        package var accepted: Int64 = 0
        package var delivered: Int64 = 0
        package var failed: Int64 = 0

        package init() {}
    }

    /// Sixty minutes in a ring, each at its number modulo sixty.
    private struct Ring {
        var beats = [Beat](repeating: Beat(), count: Pulse.minutes)
        /// No minute yet: long before all others, and far enough from the end of the numbers to count from.
        var last = Int64.min / 2

        mutating func note(_ minute: Int64, _ change: (inout Beat) -> Void) {
            guard minute > last - Int64(Pulse.minutes) else { return }
            if minute > last {
                // Minutes in which nothing happened are empty, not what they were an hour ago.
                for passed in max(last, minute - Int64(Pulse.minutes)) + 1...minute { beats[slot(passed)] = Beat() }
                last = minute
            }
            change(&beats[slot(minute)])
        }

        func shown(_ now: Int64) -> [Beat] {
            (now - Int64(Pulse.minutes) + 1...now).map { minute in
                minute <= last && minute > last - Int64(Pulse.minutes) ? beats[slot(minute)] : Beat()
            }
        }

        private func slot(_ minute: Int64) -> Int {
            Int(((minute % Int64(Pulse.minutes)) + Int64(Pulse.minutes)) % Int64(Pulse.minutes))
        }
    }

    private struct State {
        var all = Ring()
        var merchants: [Int64: Ring] = [:]
        var receivers: [Int64: Ring] = [:]
    }

    private let state = Mutex(State())

    package init() {}

    package func noteAccepted(_ count: Int, at now: Timestamp) {
        let minute = Self.minute(now)
        state.withLock { state in state.all.note(minute) { $0.accepted += Int64(count) } }
    }

    /// One attempt that ended.
    package struct Attempt: Sendable {
        package var merchantID: Int64
        package var receiverID: Int64
        package var isAcknowledged: Bool

        package init(merchantID: Int64, receiverID: Int64, isAcknowledged: Bool) {
            self.merchantID = merchantID
            self.receiverID = receiverID
            self.isAcknowledged = isAcknowledged
        }
    }

    package func note(_ attempts: [Attempt], at now: Timestamp) {
        if attempts.isEmpty { return }
        let minute = Self.minute(now)
        state.withLock { state in
            for attempt in attempts {
                let change: (inout Beat) -> Void = { beat in
                    if attempt.isAcknowledged { beat.delivered += 1 } else { beat.failed += 1 }
                }
                state.all.note(minute, change)
                state.merchants[attempt.merchantID, default: Ring()].note(minute, change)
                state.receivers[attempt.receiverID, default: Ring()].note(minute, change)
            }
            Self.forget(&state.merchants)
            Self.forget(&state.receivers)
        }
    }

    private static func forget(_ rings: inout [Int64: Ring]) {
        guard rings.count > trackedMax else { return }
        let kept = rings.sorted { $0.value.last > $1.value.last }.prefix(trackedMax / 2)
        rings = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }

    // MARK: What is shown: the last sixty minutes, oldest first

    package func all(now: Timestamp) -> [Beat] {
        let minute = Self.minute(now)
        return state.withLock { $0.all.shown(minute) }
    }

    package func merchants(_ ids: [Int64], now: Timestamp) -> [Beat] {
        let minute = Self.minute(now)
        let rings = state.withLock { state in ids.compactMap { state.merchants[$0]?.shown(minute) } }
        var sum = [Beat](repeating: Beat(), count: Self.minutes)
        for ring in rings {
            for (place, beat) in ring.enumerated() {
                sum[place].delivered += beat.delivered
                sum[place].failed += beat.failed
            }
        }
        return sum
    }

    package func receiver(_ id: Int64, now: Timestamp) -> [Beat] {
        let minute = Self.minute(now)
        return state.withLock { $0.receivers[id]?.shown(minute) } ?? []
    }

    package static func minute(_ moment: Timestamp) -> Int64 {
        ResendWindow.minute(ofSecond: moment.seconds)
    }
}
