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
    /// The same for outcomes that are written apart from the claims: no slot waits for them.
    private static let recordEvery: Duration = .milliseconds(10)
    /// With no more than this under way a live change is claimed at once, whatever has ended.
    private static let little = 64
    /// With so many outcomes unwritten nothing more is claimed: their commits fail, or are very slow.
    private static let unwrittenMax = 2 * Limits.outcomesPerCommit
    /// When resends are looked at again that had to wait for their pace.
    private static let pacedWait: Duration = .milliseconds(2)
    /// While work waits for slots: URLs may hang by then.
    private static let hungWait: Duration = .milliseconds(250)
    /// How often engine time is stored with claims, and while something is open and nothing is claimed.
    private static let timeEvery: Duration = .seconds(1)
    private static let timeEveryIdle: Duration = .seconds(10)

    private struct State {
        var turns: Turns
        var book: ReceiverBook
        /// What all nodes must be told of receivers and could not be yet.
        var changes: [ReceiverChange] = []
        /// When the next queue comes due, as the last claim saw it; nil when none waited. Engine time.
        var nextDue: Timestamp?
        var resends = ClaimedResends()
        var cursors = ClaimCursors()
        /// Beside live changes.
        var pace = ResendPace()
        /// The commits of live changes that a claim has followed.
        var trafficSeen = 0
        var isDraining = false
        var committedAt: Timestamp?
        /// When engine time was stored last.
        var timeStoredAt: Timestamp?
        /// Whether outcomes are written by `RecordLoop`, beside the claims.
        var recordsApart = false
        var recordedAt: Timestamp?
        var isWritingBreak = false
        var lateResults = 0
        /// Attempts under way through open breakers.
        var probing = 0
        var hung = HungURLs()

        /// Beside `RecordLoop`: a claim would take more for a receiver whose breaker is not written yet.
        func waitsForRecords(_ unwritten: Int) -> Bool {
            recordsApart
                && (isWritingBreak || unwritten >= Dispatcher.unwrittenMax || changes.contains(where: \.isBreak))
        }
    }

    package let name = "dispatcher"
    package let doorbell: Doorbell
    package let recorder: OutcomeRecorder
    private let state: Mutex<State>
    let store: Store
    private let courier: Courier
    private let secrets: SecretCache
    private let clock: any TimeSource
    private let entropy: any Entropy
    private let traffic: LiveTraffic
    private let metrics: EngineMetrics
    let logger: Logger
    let quarantine: Quarantine
    let locked = LockedResults()

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
        quarantine = Quarantine(store: store, logger: logger)
        state = Mutex(State(turns: turns, book: ReceiverBook()))
    }

    /// Results that came after their lease was lost: possible duplicates at the receiver.
    package var lateResults: Int { state.withLock(\.lateResults) }

    package func step(now: Moment) async throws -> Step {
        if let rest = timeToCollect(now: now.engine) { return .wait(rest) }
        // Counted from before the claim, like the lease, whatever the commit takes.
        let startBy = ContinuousClock.now + .seconds(Limits.startWithinSeconds)
        learn(now: now.engine)
        let isApart = state.withLock(\.recordsApart)
        let records = isApart ? [] : locked.passing(recorder.take(atMost: Limits.outcomesPerCommit))
        let changes = isApart ? [] : locked.passing(takeChanges())
        let order = claimOrder(now: now)
        if records.isEmpty, order == nil {
            putBack(records, changes)
            return .wait(Self.idleWait)
        }
        try await retryHeld(now: now)
        let claimed = try await commit(records, changes, now: now, claim: order)
        await quarantine.putOff(claimed.damaged, now: now)
        if claimed.turns != nil { courier.noteCanceled(claimed.canceled) }
        if claimed.unreadable > 0 {
            logger.error("events cannot be opened; they wait", metadata: ["count": "\(claimed.unreadable)"])
        }
        try await send(claimed.deliveries, ahead: Set(claimed.ahead.flatMap(\.deliveries.keys)), startBy: startBy)
        let isIdle =
            records.isEmpty && claimed.deliveries.isEmpty && claimed.damaged.isEmpty && claimed.passedOver == 0
        return isIdle ? untilDue(now: now.engine) : .again
    }

    /// Writes what was taken, puts it back where that fails, and claims.
    private func commit(
        _ records: [AttemptRecord], _ changes: [ReceiverChange], now: Moment, claim order: ClaimOrder?
    ) async throws -> ClaimResult {
        do {
            let (recorded, claimed) = try await store.recordAndClaim(
                records, changes: changes, now: now.wall, claim: order, lockWait: Self.lockWait)
            quarantine.succeeded(inRecords: order == nil)
            took(records, recorded, changes, claimed, at: now)
            return claimed
        } catch StoreError.locked where !records.isEmpty || !changes.isEmpty {
            try await writeAround(records, changes, now: now)
            return ClaimResult()
        } catch {
            putBack(records, changes)
            guard quarantine.suspects(error, inRecords: order == nil, now: now.engine) else { throw error }
            if !records.isEmpty || !changes.isEmpty { try await writeApart(now: now) }
            return order == nil ? ClaimResult() : try await claimApart(now: now)
        }
    }

    /// After a commit.
    func took(
        _ records: [AttemptRecord], _ recorded: RecordResult, _ changes: [ReceiverChange], _ claimed: ClaimResult,
        at now: Moment
    ) {
        metrics.note(records, recorded, claimed, at: now.wall)
        reopen(changes, recorded.events)
        note(recorded, claimed, at: now.engine)
    }

    /// No new claims: what runs is finished and recorded, what was claimed but not begun is released.
    package func finish() async {
        state.withLock { $0.isDraining = true }
        await courier.stop()
        await recordAll()
    }

    /// Writes whatever has ended, at the end.
    func recordAll() async {
        recorder.putBack(locked.takeAll())
        while true {
            learn(now: clock.engine)
            let records = recorder.take(atMost: Limits.outcomesPerCommit)
            if records.isEmpty { return }
            do {
                try await write(records, takeChanges(), now: clock.now)
            } catch {
                logger.error(
                    "results could not be recorded at shutdown; their leases bring them back",
                    metadata: ["count": "\(records.count)", "error": "\(error)"])
                return
            }
        }
    }

    /// Gives back the slots of attempts that have ended, takes in what they say of their receivers, and keeps what all
    /// nodes must be told.
    private func learn(now: Timestamp) {
        let news = recorder.news()
        let broken = state.withLock { state in
            let known = state.changes.count
            for record in news {
                let receiverID = record.claimed.queue.receiverID
                state.turns.gaveBack(1, to: record.claimed.queue)
                if record.claimed.isProbe { state.probing -= 1 }
                state.hung.ended(
                    record.claimed.urlFingerprint, of: receiverID, delivery: record.claimed.id,
                    took: record.outcome == nil ? nil : record.duration, at: now)
                if record.isCrowdedOut { state.book.crowd(receiverID) }
                if let outcome = record.outcome {
                    state.changes += state.book.note(
                        outcome, of: receiverID, url: record.fingerprint, probe: record.claimed.probe,
                        hold: record.hold, at: now)
                    if record.claimed.queue.lane == .resend {
                        state.book.noteResend(outcome, of: receiverID, took: record.duration, at: now)
                    }
                }
                state.turns.setSlots(
                    state.book.slots(of: receiverID), isProven: state.book.isProven(receiverID), of: receiverID)
                state.turns.setResendSlots(state.book.resendSlots(of: receiverID), of: receiverID)
            }
            for rested in state.book.restRamps(at: now) { state.turns.setResendSlots(nil, of: rested) }
            for forgotten in state.book.evict(keeping: { [turns = state.turns] in turns.isBusy($0) }) {
                state.turns.forgetSlots(of: forgotten)
            }
            return state.changes.dropFirst(known).filter(\.isBreak).map(\.receiverID)
        }
        for receiverID in broken { courier.hold(receiverID) }
    }

    /// Lets attempts begin again to receivers whose breaker closed, or stayed closed because another node knew better.
    private func reopen(_ changes: [ReceiverChange], _ events: [ReceiverEvent]) {
        if changes.isEmpty { return }
        let opened = Set(events.lazy.filter(\.isOpening).map(\.receiverID))
        for change in changes where change.isBreak && !opened.contains(change.receiverID) {
            courier.reopen(change.receiverID)
        }
        for event in events where event.isClosing { courier.reopen(event.receiverID) }
    }

    func takeChanges() -> [ReceiverChange] {
        state.withLock { state in
            defer { state.changes = [] }
            state.isWritingBreak = state.changes.contains(where: \.isBreak)
            return state.changes
        }
    }

    func putBack(_ records: [AttemptRecord], _ changes: [ReceiverChange]) {
        recorder.putBack(records)
        state.withLock { $0.changes = changes + $0.changes }
    }

    func claimOrder(now: Moment) -> ClaimOrder? {
        return state.withLock { state in
            state.trafficSeen = traffic.count
            guard !state.isDraining, state.turns.hasRoom, !state.waitsForRecords(recorder.count) else { return nil }
            var turns = state.turns
            if traffic.isActive(at: now.engine) { turns.resendsAtOnce = state.pace.allowance(now: now.engine) }
            var order = ClaimOrder(
                now: now.engine, wall: now.wall, leaseUntil: now.engine + .seconds(Limits.leaseSeconds),
                token: Int64(bitPattern: entropy.next()), turns: turns
            )
            order.resends = state.resends
            order.cursors = state.cursors
            let sinceStored = state.timeStoredAt.map { now.engine - $0 } ?? Self.timeEveryIdle
            order.storesTime = sinceStored >= Self.timeEvery
            order.storesTimeIdle = sinceStored >= Self.timeEveryIdle
            order.probesMax = max(0, Limits.probesInFlight - state.probing)
            order.overtaking = state.hung.overtaking(at: now.engine, state.turns.backlog.contains)
            quarantine.apply(to: &order)
            locked.apply(to: &order)
            return order
        }
    }

    /// How long it is better to wait for more outcomes than to commit what there is; nil for not at all.
    private func timeToCollect(now: Timestamp) -> Duration? {
        let ended = recorder.newsCount
        return state.withLock { state in
            let running = state.turns.heldCount - ended
            let isUrgent = state.trafficSeen != traffic.count && state.turns.heldCount <= Self.little
            guard let committedAt = state.committedAt, running > ended, !state.isDraining, !isUrgent else { return nil }
            return Self.rest(of: Self.commitEvery, since: committedAt, now)
        }
    }

    private static func rest(of pause: Duration, since last: Timestamp, _ now: Timestamp) -> Duration? {
        let rest = pause - (now - last)
        return rest > .zero && rest <= pause ? rest : nil
    }

    private func note(_ recorded: RecordResult, _ claimed: ClaimResult, at now: Timestamp) {
        defer { recorder.ring(at: max(1, min(Limits.outcomesPerCommit, state.withLock(\.turns.heldCount) / 2))) }
        for event in recorded.events { event.log(to: logger) }
        state.withLock { state in
            state.lateResults += recorded.late
            if claimed.hasStoredTime { state.timeStoredAt = now }
            if claimed.turns != nil || !state.recordsApart { state.committedAt = now }
            guard let turns = claimed.turns else { return }
            state.turns.continueRotation(of: turns)
            var taken: [QueueID: Int] = [:]
            for delivery in claimed.deliveries {
                taken[delivery.queue, default: 0] += 1
                if delivery.isProbe { state.probing += 1 }
                state.hung.began(
                    delivery.urlFingerprint, of: delivery.queue.receiverID, merchantID: delivery.merchantID, at: now)
            }
            for (receiverID, deliveries, place) in claimed.ahead {
                state.hung.overtook(deliveries, of: receiverID, lookedTo: place)
            }
            if turns.resendsAtOnce != nil {
                state.pace.took(taken.reduce(0) { $0 + ($1.key.lane == .resend ? $1.value : 0) })
            }
            for (merchantID, queue, hasMore) in claimed.queues {
                let candidate = Turns.Candidate(merchantID: merchantID, queue: queue)
                // A queue with several probes is named for each of them.
                state.turns.took(taken.removeValue(forKey: queue) ?? 0, from: candidate, hasMore: hasMore)
            }
            state.nextDue = claimed.nextDue
            state.resends = claimed.resends
            state.cursors = claimed.cursors
        }
    }

    private func send(
        _ deliveries: [ClaimedDelivery], ahead: Set<Int64>, startBy: ContinuousClock.Instant
    ) async throws {
        if deliveries.isEmpty { return }
        let known: [Int64: WebhookSigner]
        do {
            known = try await secrets.signers(for: Set(deliveries.map(\.merchantID)))
        } catch {
            for delivery in deliveries { courier.release(delivery) }
            throw error
        }
        courier.start(deliveries, ahead: ahead, signers: known, startBy: startBy)
    }

    private func untilDue(now: Timestamp) -> Step {
        let (due, isPaced, isBehind) = state.withLock { state in
            (state.nextDue, traffic.isActive(at: now) && state.turns.hasResendBacklog, !state.turns.backlog.isEmpty)
        }
        let most = isBehind ? Self.hungWait : Self.idleWait
        guard let due else { return .wait(most) }
        // What is passed over stays due.
        let least: Duration = quarantine.passesOver || !locked.isEmpty ? Self.idleWait : .milliseconds(1)
        return .wait(isPaced ? Self.pacedWait : max(least, min(most, due - now)))
    }
}

// MARK: - Recording beside the claims

extension Dispatcher {
    /// From now on `bell` rings for what is to be written, and somebody calls `record`.
    func recordApart(_ bell: Doorbell) {
        recorder.wake(bell)
        state.withLock { $0.recordsApart = true }
    }

    /// One commit of what has ended, as soon as it is worth one. What it frees is claimed meanwhile.
    func record(now: Moment) async throws -> Step {
        try await retryHeld(now: now)
        let count = recorder.count
        let (underWay, recordedAt, hasChanges) = state.withLock { state in
            (state.turns.heldCount - recorder.newsCount, state.recordedAt, !state.changes.isEmpty)
        }
        if count == 0, !hasChanges { return .wait(locked.isEmpty ? Self.idleWait : Self.hungWait) }
        if count < OutcomeRecorder.worthACommit, underWay > 0, let recordedAt,
            let rest = Self.rest(of: Self.recordEvery, since: recordedAt, now.engine)
        {
            return .wait(rest)
        }
        if recorder.newsCount > 0 { doorbell.ring() }
        learn(now: now.engine)
        let records = locked.passing(recorder.take(atMost: Limits.outcomesPerCommit))
        let changes = locked.passing(takeChanges())
        state.withLock { $0.recordedAt = now.engine }
        try await write(records, changes, now: now)
        // Retries have due times now, and what waited for this commit may be claimed.
        doorbell.ring()
        return .again
    }

    private func write(_ records: [AttemptRecord], _ changes: [ReceiverChange], now: Moment) async throws {
        defer { state.withLock { $0.isWritingBreak = false } }
        _ = try await commit(records, changes, now: now, claim: nil)
    }
}

/// Writes outcomes where claims have a commit of their own: beside them, so that neither waits for the other. At the
/// end it writes what the dispatcher could not.
package final class RecordLoop: Stepping {
    package let name = "recorder"
    package let doorbell = Doorbell()
    private let dispatcher: Dispatcher

    package init(_ dispatcher: Dispatcher) {
        self.dispatcher = dispatcher
        dispatcher.recordApart(doorbell)
    }

    package func step(now: Moment) async throws -> Step { try await dispatcher.record(now: now) }

    package func finish() async { await dispatcher.recordAll() }
}
