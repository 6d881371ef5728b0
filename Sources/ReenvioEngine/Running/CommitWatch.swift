import Synchronization

/// Whether changes get through, as far as anybody asks: what `/readyz` knows beside its own probe.
package final class CommitWatch: Sendable {
    private struct Failures {
        var since: ContinuousClock.Instant
        var last: ContinuousClock.Instant
        /// Those whose rows are locked.
        var merchants: Set<Int64> = []
        var isOfAll = false
    }

    /// Nothing was asked for so long: the probe alone knows.
    private static let remembered: Duration = .seconds(10)
    /// One failure may be an accident.
    private static let least: Duration = .seconds(1)
    private static let merchantsMax = 1_000

    private let failures = Mutex<Failures?>(nil)

    package init() {}

    package func succeeded() {
        failures.withLock { $0 = nil }
    }

    /// A small commit of our own was made, begun after `began`: the store takes what is not locked.
    package func probed(since began: ContinuousClock.Instant) {
        failures.withLock { failures in
            guard let known = failures, known.last < began else { return }
            failures?.isOfAll = false
        }
    }

    /// - Parameter merchants: whose rows are locked; empty where nobody's change can be committed.
    package func failed(lockingOut merchants: Set<Int64> = [], now: ContinuousClock.Instant = .now) {
        failures.withLock { failures in
            let recent = failures.flatMap { now - $0.last < Self.remembered ? $0 : nil }
            var known = recent ?? Failures(since: now, last: now)
            known.last = now
            if merchants.isEmpty { known.isOfAll = true }
            if known.merchants.count < Self.merchantsMax { known.merchants.formUnion(merchants) }
            failures = known
        }
    }

    /// Whether nothing was committed although changes came. A lock on one merchant's rows is no reason to send all the
    /// others away.
    package func isFailing(now: ContinuousClock.Instant = .now) -> Bool {
        failures.withLock { failures in
            guard let failures, now - failures.last < Self.remembered else { return false }
            return failures.last - failures.since >= Self.least && (failures.isOfAll || failures.merchants.count > 1)
        }
    }
}
