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
    /// When the pieces are looked at next, by the wall clock.
    private let piecesDue = Mutex<Timestamp?>(nil)
    private let store: Store
    private let retention: Retention
    private let dispatcherBell: Doorbell
    private let logger: Logger

    package init(store: Store, retention: Retention, dispatcherBell: Doorbell, logger: Logger) {
        self.store = store
        self.dispatcherBell = dispatcherBell
        self.retention = retention
        self.logger = logger
    }

    package func step(now: Moment) async throws -> Step {
        await rollPieces(now: now.wall)
        let result = try await store.sweep(
            from: position.withLock { $0 }, retention: retention, now: now.wall)
        position.withLock { $0 = result.position }
        if !result.removed.isEmpty {
            let counts = result.removed.map { ($0.kind, Logger.MetadataValue.string(String($0.count))) }
            logger.info("swept", metadata: Dictionary(uniqueKeysWithValues: counts))
        }
        let expired = try await store.expireBroken(now: now.wall, engineNow: now.engine)
        if expired > 0 {
            logger.warning(
                "deliveries to broken receivers given up",
                metadata: ["count": "\(expired)", "reason": "\(AttemptFailure.receiverBroken.rawValue)"])
        }
        let paused = try await store.expirePausedLogs(now: now.wall)
        if paused > 0 {
            logger.warning("messages of resends to paused receivers given up", metadata: ["count": "\(paused)"])
        }
        let moving = try await store.moveRegistrations(now: now.wall, engineNow: now.engine)
        if moving.wake { dispatcherBell.ring() }
        let canceled = try await store.sweepCanceled(now: now.wall, engineNow: now.engine)
        if max(moving.moved, canceled.ended) >= Store.sweepMax { return .again }
        if moving.hasMore || canceled.hasMore { return .wait(Self.movingRest) }
        return result.hasMore || max(expired, paused) >= Store.sweepMax ? .wait(.milliseconds(20)) : .wait(Self.rest)
    }

    /// Fails alone: somebody may read a history for long, and the next step looks again.
    private func rollPieces(now: Timestamp) async {
        guard piecesDue.withLock({ due in due.map { $0 <= now } ?? true }) else { return }
        do {
            let rolled = try await store.rollPieces(retention: retention, now: now)
            if rolled != PiecesRolled() {
                logger.info(
                    "pieces of histories made or dropped",
                    metadata: ["made": "\(rolled.made)", "dropped": "\(rolled.dropped)"])
            }
            if rolled.dropped == 0 { piecesDue.withLock { $0 = now + Self.piecesEvery } }
        } catch {
            logger.warning(
                "pieces of histories could not be made or dropped; it is tried again", metadata: ["error": "\(error)"])
        }
    }

    package func finish() async {}
}
