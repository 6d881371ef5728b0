package import Logging
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Sends: writes finished attempts, claims what is due and has a free slot, and hands it to the courier. Outcomes and
/// the next claim share a commit. A commit costs nearly the same for one outcome as for a hundred, so while attempts
/// run, one waits until half of what is claimed has ended, or a moment has passed; what is claimed ahead keeps the
/// connections busy meanwhile. While little runs, live changes are claimed at once; while they come in,
/// resends go by `ResendPace`.
package final class Dispatcher: Stepping {
    private static let idleWait: Duration = .seconds(1)
    /// The shortest time from one commit to the next while attempts run and few have ended.
    private static let commitEvery: Duration = .milliseconds(3)
    /// With no more than this under way a live change is claimed at once, whatever has ended.
    private static let little = 64
    /// When resends are looked at again that had to wait for their pace.
    private static let pacedWait: Duration = .milliseconds(2)

    private struct State {
        var turns: Turns
        var book: ReceiverBook
        /// What all nodes must be told of receivers and could not be yet.
        var changes: [ReceiverChange] = []
        /// Records at the head of the recorder that the book has seen: their commit failed.
        var recordsSeen = 0
        /// When the next queue comes due, as the last claim saw it; nil when none waited. Engine time.
        var nextDue: Timestamp?
        /// Beside live changes.
        var pace = ResendPace()
        /// The commits of live changes that a claim has followed.
        var trafficSeen = 0
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
    private let traffic: LiveTraffic
    private let metrics: EngineMetrics
    private let logger: Logger

    package init(
        store: Store, courier: Courier, recorder: OutcomeRecorder, doorbell: Doorbell, clock: any TimeSource,
        entropy: any Entropy,
        turns: Turns = Turns(
            slotsAtFirst: ReceiverLoad.slotsAtFirst, resendSlotsAtFirst: ResendRamp.slotsAtFirst),
        traffic: LiveTraffic,
        metrics: EngineMetrics,
        logger: Logger
    ) {
        self.store = store
        self.courier = courier
        self.recorder = recorder
        self.doorbell = doorbell
        self.clock = clock
        self.entropy = entropy
        self.traffic = traffic
        self.metrics = metrics
        self.logger = logger
        secrets = SecretCache(store: store, clock: clock)
        state = Mutex(State(turns: turns, book: ReceiverBook()))
    }

    /// Results that came after their lease was lost: possible duplicates at the receiver.
    package var lateResults: Int { state.withLock(\.lateResults) }

    package func step(now: Moment) async throws -> Step {
        if let rest = timeToCollect(now: now.engine) { return .wait(rest) }
        // Counted from before the claim, like the lease, whatever the commit takes.
        let startBy = ContinuousClock.now + .seconds(Limits.startWithinSeconds)
        let records = recorder.take(atMost: Limits.outcomesPerCommit)
        let changes = learn(from: records, now: now.engine)
        for change in changes { if case .broke = change.what { courier.hold(change.receiverID) } }
        let order = claimOrder(now: now)
        if records.isEmpty, order == nil { return .wait(Self.idleWait) }
        let result: (recorded: RecordResult, claimed: ClaimResult)
        do {
            result = try await store.recordAndClaim(records, changes: changes, now: now.wall, claim: order)
        } catch {
            putBack(records, changes)
            throw error
        }
        metrics.note(records, result.recorded, result.claimed, at: now.wall)
        note(result.recorded, result.claimed, at: now.engine)
        if result.claimed.turns != nil { courier.noteCanceled(result.claimed.canceled) }
        if result.claimed.unreadable > 0 {
            logger.error(
                "events cannot be opened; they wait", metadata: ["count": "\(result.claimed.unreadable)"])
        }
        try await send(result.claimed.deliveries, startBy: startBy)
        let isIdle = records.isEmpty && result.claimed.deliveries.isEmpty && result.claimed.passedOver == 0
        return isIdle ? untilDue(now: now.engine) : .again
    }

    /// No new claims: what runs is finished and recorded, what was claimed but not begun is released.
    package func finish() async {
        state.withLock { $0.isDraining = true }
        await courier.stop()
        while true {
            let records = recorder.take(atMost: Limits.outcomesPerCommit)
            if records.isEmpty { return }
            do {
                let changes = learn(from: records, now: clock.engine)
                let result = try await store.recordAndClaim(records, changes: changes, now: clock.wall, claim: nil)
                metrics.note(records, result.recorded, result.claimed, at: clock.wall)
                note(result.recorded, result.claimed, at: clock.engine)
            } catch {
                logger.error(
                    "results could not be recorded at shutdown; their leases bring them back",
                    metadata: ["count": "\(records.count)", "error": "\(error)"])
                return
            }
        }
    }

    /// Gives back the slots of attempts that have ended, takes in what they say of their receivers, and returns what
    /// all nodes must be told.
    private func learn(from records: [AttemptRecord], now: Timestamp) -> [ReceiverChange] {
        state.withLock { state in
            for record in records.dropFirst(state.recordsSeen) {
                let receiverID = record.claimed.queue.receiverID
                state.turns.gaveBack(1, to: record.claimed.queue)
                if record.isCrowdedOut { state.book.crowd(receiverID) }
                if let outcome = record.outcome {
                    state.changes += state.book.note(
                        outcome, of: receiverID, isProbe: record.claimed.isProbe, hold: record.hold, at: now)
                    if record.claimed.queue.lane == .resend {
                        state.book.noteResend(outcome, of: receiverID, took: record.duration, at: now)
                    }
                }
                state.turns.setSlots(
                    state.book.slots(of: receiverID), isProven: state.book.isProven(receiverID), of: receiverID)
                state.turns.setResendSlots(state.book.resendSlots(of: receiverID), of: receiverID)
            }
            state.recordsSeen = 0
            for rested in state.book.restRamps(at: now) { state.turns.setResendSlots(nil, of: rested) }
            for forgotten in state.book.evict(keeping: { [turns = state.turns] in turns.isBusy($0) }) {
                state.turns.forgetSlots(of: forgotten)
            }
            defer { state.changes = [] }
            return state.changes
        }
    }

    private func putBack(_ records: [AttemptRecord], _ changes: [ReceiverChange]) {
        recorder.putBack(records)
        state.withLock { state in
            state.recordsSeen = records.count
            state.changes = changes
        }
    }

    private func claimOrder(now: Moment) -> ClaimOrder? {
        return state.withLock { state in
            state.trafficSeen = traffic.count
            guard !state.isDraining, state.turns.hasRoom else { return nil }
            var turns = state.turns
            if traffic.isActive(at: now.engine) { turns.resendsAtOnce = state.pace.allowance(now: now.engine) }
            return ClaimOrder(
                now: now.engine, wall: now.wall, leaseUntil: now.engine + .seconds(Limits.leaseSeconds),
                token: Int64(bitPattern: entropy.next()), turns: turns
            )
        }
    }

    /// How long it is better to wait for more outcomes than to commit what there is; nil for not at all.
    private func timeToCollect(now: Timestamp) -> Duration? {
        let ended = recorder.count
        return state.withLock { state in
            let running = state.turns.heldCount - ended + state.recordsSeen
            let isUrgent = state.trafficSeen != traffic.count && state.turns.heldCount <= Self.little
            guard let committedAt = state.committedAt, running > ended, !state.isDraining, !isUrgent else { return nil }
            let rest = Self.commitEvery - (now - committedAt)
            return rest > .zero && rest <= Self.commitEvery ? rest : nil
        }
    }

    private func note(_ recorded: RecordResult, _ claimed: ClaimResult, at now: Timestamp) {
        defer { recorder.ring(at: max(1, min(Limits.outcomesPerCommit, state.withLock(\.turns.heldCount) / 2))) }
        log(recorded.events)
        state.withLock { state in
            state.committedAt = now
            state.lateResults += recorded.late
            guard let turns = claimed.turns else { return }
            state.turns.continueRotation(of: turns)
            var taken: [QueueID: Int] = [:]
            for delivery in claimed.deliveries { taken[delivery.queue, default: 0] += 1 }
            if turns.resendsAtOnce != nil {
                state.pace.took(taken.reduce(0) { $0 + ($1.key.lane == .resend ? $1.value : 0) })
            }
            for (merchantID, queue, hasMore) in claimed.queues {
                let candidate = Turns.Candidate(merchantID: merchantID, queue: queue)
                state.turns.took(taken[queue] ?? 0, from: candidate, hasMore: hasMore)
            }
            state.nextDue = claimed.nextDue
        }
    }

    /// One line for each breaker that opened or closed and each receiver that asked for time, after the commit.
    private func log(_ events: [ReceiverEvent]) {
        for event in events {
            var metadata: Logger.Metadata = ["receiver": "\(event.receiverID)", "merchant": "\(event.merchantID)"]
            switch event.what {
            case .opened(let reason):
                metadata["reason"] = reason.map { "\($0.rawValue)" }
                metadata["failures"] = "\(Breaker.failuresToOpen)"
                logger.warning("a receiver failed too often in a row; its breaker is open", metadata: metadata)
            case .closed(let duration):
                metadata["probes"] = "\(Breaker.acknowledgementsToClose)"
                metadata["open_ms"] = "\(duration.milliseconds)"
                logger.notice("a receiver answers again; its breaker is closed", metadata: metadata)
            case .held(let duration):
                metadata["hold_ms"] = "\(duration.milliseconds)"
                logger.info("a receiver asked to be left alone", metadata: metadata)
            }
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
        let (due, isPaced) = state.withLock { state in
            (state.nextDue, traffic.isActive(at: now) && state.turns.hasResendBacklog)
        }
        guard let due else { return .wait(Self.idleWait) }
        return .wait(isPaced ? Self.pacedWait : max(.milliseconds(1), min(Self.idleWait, due - now)))
    }
}
