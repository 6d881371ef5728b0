package import Logging
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Forgets: one bounded sweep per step, then a rest.
package final class Janitor: Stepping {
    private static let rest: Duration = .seconds(60)
    /// Until attempts that were under way at a registration's old address have ended.
    private static let movingRest: Duration = .seconds(1)
    /// How often the pieces of histories are looked at.
    private static let piecesEvery: Duration = .seconds(3_600)

    package let name = "janitor"
    package let doorbell = Doorbell()
    private let position = Mutex(SweepPosition())
    /// When the pieces are looked at next, by engine time.
    private let piecesDue = Mutex<Timestamp?>(nil)
    private let idRepairs = Mutex(0)
    private let store: Store
    private let retention: Retention
    private let schedule: RetrySchedule
    private let trust: ClockTrust
    private let dispatcherBell: Doorbell
    private let logger: Logger

    package init(
        store: Store, retention: Retention, schedule: RetrySchedule, trust: ClockTrust, dispatcherBell: Doorbell,
        logger: Logger
    ) {
        self.store = store
        self.schedule = schedule
        self.trust = trust
        self.dispatcherBell = dispatcherBell
        self.retention = retention
        self.logger = logger
    }

    package func step(now: Moment) async throws -> Step {
        logIDRepairs()
        var failure: StoreError?
        let pulled = try await apart(&failure, else: 0) { try await pullBack(now: now.engine) }
        let hasMore = try await trust.isGood(now.wall) ? forget(now: now, &failure) : false
        let moving = try await apart(&failure, else: (moved: 0, hasMore: false, wake: false)) {
            try await store.moveRegistrations(now: now.wall, engineNow: now.engine)
        }
        if moving.wake { dispatcherBell.ring() }
        let canceled = try await apart(&failure, else: (ended: 0, hasMore: false)) {
            try await store.sweepCanceled(now: now.wall, engineNow: now.engine)
        }
        if let failure { throw failure }
        if max(moving.moved, canceled.ended, pulled) >= Store.sweepMax { return .again }
        if moving.hasMore || canceled.hasMore { return .wait(Self.movingRest) }
        return hasMore ? .wait(.milliseconds(20)) : .wait(Self.rest)
    }

    /// Removes and gives up what goes by the wall clock.
    /// - Returns: whether going on at once is worth it.
    private func forget(now: Moment, _ failure: inout StoreError?) async throws -> Bool {
        await rollPieces(now: now)
        let result = try await sweep(now: now.wall, &failure)
        if !result.removed.isEmpty {
            let counts = result.removed.map { ($0.kind, Logger.MetadataValue.string(String($0.count))) }
            logger.info("swept", metadata: Dictionary(uniqueKeysWithValues: counts))
        }
        let expired = try await apart(&failure, else: 0) {
            try await store.expireBroken(now: now.wall, engineNow: now.engine)
        }
        if expired > 0 {
            logger.warning(
                "deliveries to broken receivers given up",
                metadata: ["count": "\(expired)", "reason": "\(AttemptFailure.receiverBroken.rawValue)"])
        }
        let paused = try await apart(&failure, else: 0) { try await store.expirePausedLogs(now: now.wall) }
        if paused > 0 {
            logger.warning("messages of resends to paused receivers given up", metadata: ["count": "\(paused)"])
        }
        return result.hasMore || max(expired, paused) >= Store.sweepMax
    }

    /// Nothing waits for a time that only a clock that was ahead can have written.
    private func pullBack(now: Timestamp) async throws -> Int {
        let pulled = try await store.pullBack(beyond: EngineStart.farthest(from: now, schedule: schedule), now: now)
        if pulled > 0 {
            logger.warning(
                "what waited for a time that a wrong clock had set is due now", metadata: ["count": "\(pulled)"])
            dispatcherBell.ring()
        }
        return pulled
    }

    /// What one kind of row or page stops, stops no other kind: where the whole fails for an item, each goes alone.
    private func sweep(now: Timestamp, _ failure: inout StoreError?) async throws -> SweepResult {
        let from = position.withLock { $0 }
        do {
            let result = try await store.sweep(from: from, retention: retention, now: now)
            position.withLock { $0 = result.position }
            return result
        } catch StoreError.failed(let why) {
            failure = .failed(why)
        }
        for kind in SweepKind.allCases {
            let from = position.withLock { $0 }
            let result: SweepResult? = try await apart(&failure, else: nil) {
                try await store.sweep(from: from, retention: retention, now: now, kinds: [kind])
            }
            if let result { position.withLock { $0 = result.position } }
        }
        return SweepResult()
    }

    /// The first failure is kept, and the step goes on.
    private func apart<T>(
        _ failure: inout StoreError?, else none: T, _ body: () async throws -> T
    ) async throws -> T {
        do {
            return try await body()
        } catch StoreError.failed(let why) {
            failure = failure ?? .failed(why)
            return none
        }
    }

    /// The store has mended it; an operator is to know that the database was put back.
    private func logIDRepairs() {
        let count = store.engine.idRepairs
        let isNews = idRepairs.withLock { known in
            defer { known = count }
            return count != known
        }
        guard isNews else { return }
        logger.warning("ids were behind what is stored, and were moved", metadata: ["count": "\(count)"])
    }

    /// Fails alone: somebody may read a history for long, and the next step looks again.
    private func rollPieces(now: Moment) async {
        guard piecesDue.withLock({ due in due.map { $0 <= now.engine } ?? true }) else { return }
        do {
            let rolled = try await store.rollPieces(retention: retention, now: now.wall)
            if rolled != PiecesRolled() {
                logger.info(
                    "pieces of histories made or dropped",
                    metadata: ["made": "\(rolled.made)", "dropped": "\(rolled.dropped)"])
            }
            if rolled.dropped == 0 { piecesDue.withLock { $0 = now.engine + Self.piecesEvery } }
        } catch {
            logger.warning(
                "pieces of histories could not be made or dropped; it is tried again", metadata: ["error": "\(error)"])
        }
    }

    package func finish() async {}
}
