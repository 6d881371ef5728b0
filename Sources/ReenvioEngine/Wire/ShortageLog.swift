package import Logging
package import Metrics
import ReenvioModel
import Synchronization

/// Counts what this machine lacked for its requests, and says so in one line a minute: it may be thousands a second.
package final class ShortageLog: Sendable {
    private struct State {
        var counts: [SenderShortage: Int] = [:]
        var saidAt: ContinuousClock.Instant?
    }

    private static let sayEvery: Duration = .seconds(60)

    private let counters: [SenderShortage: Counter]
    private let logger: Logger
    private let state = Mutex(State())

    package init(counters: [SenderShortage: Counter], logger: Logger) {
        self.counters = counters
        self.logger = logger
    }

    package func note(_ shortage: SenderShortage) {
        counters[shortage]?.increment()
        state.withLock { $0.counts[shortage, default: 0] += 1 }
    }

    /// Says what was counted since the last line, unless that was less than a minute ago.
    package func say(now: ContinuousClock.Instant) {
        let counts = state.withLock { state -> [SenderShortage: Int] in
            guard !state.counts.isEmpty, state.saidAt.map({ now - $0 >= Self.sayEvery }) ?? true else { return [:] }
            defer { state = State(saidAt: now) }
            return state.counts
        }
        if counts.isEmpty { return }
        let kinds = SenderShortage.allCases.filter { counts[$0] != nil }.map(\.rawValue)
        logger.warning(
            "this machine is short of what attempts need; they wait and are not spent",
            metadata: ["count": "\(counts.values.reduce(0, +))", "short_of": "\(kinds.joined(separator: ","))"])
    }
}
