package import Logging
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Whether the wall clock may be destroyed by: `ClockKeeper` over the clocks of this machine, the store and, where
/// nodes share one, its server.
package final class ClockTrust: Sendable {
    /// How often the last good moment is written, and how often a clock that is wrong is logged.
    private static let every: Duration = .seconds(3_600)

    private struct State {
        var keeper = ClockKeeper()
        /// By the monotonic clock.
        var writtenAt: Duration?
        var loggedAt: Duration?
    }

    private let state = Mutex(State())
    private let distrusted = Atomic(false)
    private let store: Store
    private let clock: any TimeSource
    private let logger: Logger

    package init(store: Store, clock: any TimeSource, logger: Logger) {
        self.store = store
        self.clock = clock
        self.logger = logger
    }

    /// As it was judged last.
    package var isDistrusted: Bool { distrusted.load(ordering: .relaxed) }

    /// Judges the clock now, and the time that is to be destroyed by, which was taken from it a moment ago: it may have
    /// been set between the two.
    package func isGood(_ taken: Timestamp) async throws -> Bool {
        let stored = try await store.trustedTime()
        let server = try await store.serverMoment()?.time
        let now = clock.reading
        let (verdict, keep) = state.withLock { state in
            state.keeper.take(stored)
            let verdict = state.keeper.judge(now, server: server)
            let isDue = stored == nil || state.writtenAt.map { now.sinceBoot - $0 >= Self.every } ?? true
            return (verdict, verdict == .good && isDue ? state.keeper.last : nil)
        }
        if let last = state.withLock(\.keeper.last) { clock.trust(last) }
        if let keep {
            try await store.keepTrustedTime(keep)
            state.withLock { $0.writtenAt = now.sinceBoot }
        }
        note(verdict, now)
        let gap = now.wall - taken
        return verdict == .good && gap <= ClockKeeper.tolerance && gap >= .zero - ClockKeeper.tolerance
    }

    private func note(_ verdict: ClockKeeper.Verdict, _ now: ClockReading) {
        let wasDistrusted = isDistrusted
        switch verdict {
        case .good:
            distrusted.store(false, ordering: .relaxed)
            if state.withLock({ $0.loggedAt.take() }) != nil {
                logger.notice("the wall clock is believed again; what is too old goes")
            }
            return
        case .unproven(let expected):
            distrusted.store(false, ordering: .relaxed)
            guard isTimeToLog(now) else { return }
            logger.notice(
                "the machine was away; nothing is removed before its clock has gone on for an hour",
                metadata: Self.metadata(now.wall, expected))
        case .wrong(let expected):
            distrusted.store(true, ordering: .relaxed)
            guard isTimeToLog(now) || !wasDistrusted else { return }
            logger.error(
                "the wall clock contradicts the last good time; nothing is removed or given up by it",
                metadata: Self.metadata(now.wall, expected))
        }
    }

    private func isTimeToLog(_ now: ClockReading) -> Bool {
        state.withLock { state in
            if let logged = state.loggedAt, now.sinceBoot - logged < Self.every { return false }
            state.loggedAt = now.sinceBoot
            return true
        }
    }

    private static func metadata(_ wall: Timestamp, _ expected: Timestamp) -> Logger.Metadata {
        ["wall": "\(TimeText.zulu(wall))", "expected": "\(TimeText.zulu(expected))"]
    }
}
