package import ReenvioStore
import Synchronization

/// Whether the store takes writes now and the server means to go on. A probe may hang as long as the store does, so it
/// runs as a part of its own. Changes that do not get through count as much as the probe. A caller gets the newest
/// answer, or "not ready" after two seconds without one.
package final class Readiness: Stepping {
    private struct State {
        var answeredAt: ContinuousClock.Instant?
        var isGood = false
    }

    private static let answerKept: Duration = .milliseconds(500)
    private static let look: Duration = .milliseconds(10)

    package let name = "readiness"
    package let doorbell = Doorbell()
    private let state = Mutex(State())
    private let store: Store
    private let commits: CommitWatch
    private let isDraining: Flag
    private let patience: Duration

    /// - Parameters:
    ///   - commits: how those of others fare.
    ///   - isDraining: raised when the server is told to stop, which makes it not ready at once.
    ///   - patience: how long a caller waits for an answer.
    package init(
        store: Store, commits: CommitWatch = CommitWatch(), isDraining: Flag = Flag(), patience: Duration = .seconds(2)
    ) {
        self.commits = commits
        self.patience = patience
        self.store = store
        self.isDraining = isDraining
    }

    package func isReady() async -> Bool {
        if isDraining.isRaised { return false }
        let asked = ContinuousClock.now
        while ContinuousClock.now - asked < patience {
            if let isGood = answer(notBefore: asked - Self.answerKept) { return isGood && !commits.isFailing() }
            doorbell.ring()
            guard (try? await Task.sleep(for: Self.look)) != nil else { return false }
        }
        return false
    }

    private func answer(notBefore earliest: ContinuousClock.Instant) -> Bool? {
        state.withLock { state in
            guard let answeredAt = state.answeredAt, answeredAt >= earliest else { return nil }
            return state.isGood
        }
    }

    /// Probes when somebody asked; an idle server writes nothing.
    package func step(now: Moment) async throws -> Step {
        let isGood: Bool
        let began = ContinuousClock.now
        do {
            try await store.probe(now: now.wall)
            commits.probed(since: began)
            isGood = true
        } catch {
            isGood = false
        }
        state.withLock { state in
            state.answeredAt = .now
            state.isGood = isGood
        }
        return .wait(.seconds(3_600))
    }

    package func finish() async {}
}
