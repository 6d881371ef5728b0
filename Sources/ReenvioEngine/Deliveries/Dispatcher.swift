package import Logging
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Sends: writes finished attempts, claims what is due and has a free slot, and hands it to the courier. Outcomes and
/// the next claim share a commit. A commit costs nearly the same for one outcome as for a hundred, so while attempts
/// run, one waits until half of what is claimed has ended, or a moment has passed; what is claimed ahead keeps the
/// connections busy meanwhile.
package final class Dispatcher: Stepping {
    private static let idleWait: Duration = .seconds(1)
    /// The shortest time from one commit to the next while attempts run and few have ended.
    private static let commitEvery: Duration = .milliseconds(3)

    private struct State {
        var turns: Turns
        /// When the next queue comes due, as the last claim saw it; nil when none waited. Engine time.
        var nextDue: Timestamp?
        var isDraining = false
        var committedAt: Timestamp?
        var lateResults = 0
    }

    package let name = "dispatcher"
    package let doorbell: Doorbell
    package let recorder: OutcomeRecorder
    private let state: Mutex<State>
    private let store: Store
    private let courier: Courier
    private let secrets: SecretCache
    private let clock: any TimeSource
    private let entropy: any Entropy
    private let logger: Logger

    package init(
        store: Store, courier: Courier, recorder: OutcomeRecorder, doorbell: Doorbell, clock: any TimeSource,
        entropy: any Entropy, turns: Turns = Turns(), logger: Logger
    ) {
        self.store = store
        self.courier = courier
        self.recorder = recorder
        self.doorbell = doorbell
        self.clock = clock
        self.entropy = entropy
        self.logger = logger
        secrets = SecretCache(store: store, clock: clock)
        state = Mutex(State(turns: turns))
    }

    /// Results that came after their lease was lost: possible duplicates at the receiver.
    package var lateResults: Int { state.withLock(\.lateResults) }

    package func step(now: Moment) async throws -> Step {
        if let rest = timeToCollect(now: now.engine) { return .wait(rest) }
        // Counted from before the claim, like the lease, whatever the commit takes.
        let startBy = ContinuousClock.now + .seconds(Limits.startWithinSeconds)
        let records = recorder.take(atMost: Limits.outcomesPerCommit)
        let order = claimOrder(now: now.engine)
        if records.isEmpty, order == nil { return .wait(Self.idleWait) }
        let result: (recorded: RecordResult, claimed: ClaimResult)
        do {
            result = try await store.recordAndClaim(records, now: now.wall, claim: order)
        } catch {
            recorder.putBack(records)
            throw error
        }
        note(records, result.recorded, result.claimed, at: now.engine)
        try await send(result.claimed.deliveries, startBy: startBy)
        return records.isEmpty && result.claimed.deliveries.isEmpty ? untilDue(now: now.engine) : .again
    }

    /// No new claims: what runs is finished and recorded, what was claimed but not begun is released.
    package func finish() async {
        state.withLock { $0.isDraining = true }
        await courier.stop()
        while true {
            let records = recorder.take(atMost: Limits.outcomesPerCommit)
            if records.isEmpty { return }
            do {
                let result = try await store.recordAndClaim(records, now: clock.wall, claim: nil)
                note(records, result.recorded, result.claimed, at: clock.engine)
            } catch {
                logger.error(
                    "results could not be recorded at shutdown; their leases bring them back",
                    metadata: ["count": "\(records.count)", "error": "\(error)"])
                return
            }
        }
    }

    private func claimOrder(now: Timestamp) -> ClaimOrder? {
        return state.withLock { state in
            guard !state.isDraining, state.turns.hasRoom else { return nil }
            return ClaimOrder(
                now: now, leaseUntil: now + .seconds(Limits.leaseSeconds),
                token: Int64(bitPattern: entropy.next()), turns: state.turns
            )
        }
    }

    /// How long it is better to wait for more outcomes than to commit what there is; nil for not at all.
    private func timeToCollect(now: Timestamp) -> Duration? {
        let ended = recorder.count
        return state.withLock { state in
            let running = state.turns.heldCount - ended
            guard let committedAt = state.committedAt, running > ended, !state.isDraining else { return nil }
            let rest = Self.commitEvery - (now - committedAt)
            return rest > .zero && rest <= Self.commitEvery ? rest : nil
        }
    }

    private func note(
        _ records: [AttemptRecord], _ recorded: RecordResult, _ claimed: ClaimResult, at now: Timestamp
    ) {
        defer { recorder.ring(at: max(1, min(Limits.outcomesPerCommit, state.withLock(\.turns.heldCount) / 2))) }
        state.withLock { state in
            state.committedAt = now
            for record in records { state.turns.gaveBack(1, to: record.claimed.queue) }
            state.lateResults += recorded.late
            guard let turns = claimed.turns else { return }
            state.turns.continueRotation(of: turns)
            var taken: [QueueID: Int] = [:]
            for delivery in claimed.deliveries { taken[delivery.queue, default: 0] += 1 }
            for (merchantID, queue, hasMore) in claimed.queues {
                let candidate = Turns.Candidate(merchantID: merchantID, queue: queue)
                state.turns.took(taken[queue] ?? 0, from: candidate, hasMore: hasMore)
            }
            state.nextDue = claimed.nextDue
        }
    }

    private func send(_ deliveries: [ClaimedDelivery], startBy: ContinuousClock.Instant) async throws {
        if deliveries.isEmpty { return }
        let known: [Int64: WebhookSigner]
        do {
            known = try await secrets.signers(for: Set(deliveries.map(\.merchantID)))
        } catch {
            for delivery in deliveries { courier.release(delivery) }
            throw error
        }
        courier.start(deliveries, signers: known, startBy: startBy)
    }

    private func untilDue(now: Timestamp) -> Step {
        guard let due = state.withLock(\.nextDue) else { return .wait(Self.idleWait) }
        return .wait(max(.milliseconds(1), min(Self.idleWait, due - now)))
    }
}
