package import Logging
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Turns resends into deliveries, one chunk per step; resends take turns. Where it was is the row's to know: a restart
/// goes on from the cursor.
package final class ResendRunner: Stepping {
    private static let idleWait: Duration = .seconds(1)
    private static let backlogWait: Duration = .milliseconds(200)
    /// From one chunk to the next while live changes come in: they wait for the same writer.
    private static let besideLiveWait: Duration = .milliseconds(80)
    /// The time between the first sign of damage and the second look that fails the job.
    private static let secondLookAfter: Duration = .seconds(5)

    package let name = "resend runner"
    package let doorbell = Doorbell()
    private let last = Mutex<Int64?>(nil)
    /// Resends that met damage once, and when that was.
    private let doubted = Mutex<[Int64: Timestamp]>([:])
    private let store: Store
    private let policy: AddressPolicy
    private let schedule: RetrySchedule
    private let backlogMax: Int64
    private let dispatcherBell: Doorbell
    private let traffic: LiveTraffic
    private let entropy: any Entropy
    private let logger: Logger

    package init(
        store: Store, policy: AddressPolicy, schedule: RetrySchedule, backlogMax: Int64,
        dispatcherBell: Doorbell, traffic: LiveTraffic, entropy: any Entropy, logger: Logger
    ) {
        self.entropy = entropy
        self.store = store
        self.policy = policy
        self.schedule = schedule
        self.backlogMax = backlogMax
        self.dispatcherBell = dispatcherBell
        self.traffic = traffic
        self.logger = logger
    }

    package func step(now: Moment) async throws -> Step {
        var batchFailure: (any Error)?
        do {
            if try await advanceBatch(now: now.wall) { return .again }
        } catch let error as StoreError {
            guard Suspicion.isOfItem(error) else { throw error }
            // A batch that cannot be read keeps no job from its turn.
            batchFailure = error
        }
        let step = try await advanceJob(now: now)
        if let batchFailure, step != .again { throw batchFailure }
        return step
    }

    private func advanceJob(now: Moment) async throws -> Step {
        let rules = ChunkRules(
            now: now.wall, due: now.engine + schedule.firstWait, engineNow: now.engine, policy: policy,
            backlogMax: backlogMax
        )
        let step: ResendStep
        do {
            step = try await store.advanceResend(after: last.withLock { $0 }, rules)
        } catch let broken as ResendBroken {
            return try await fail(broken, now: now)
        }
        last.withLock { $0 = step.resendID ?? $0 }
        if let id = step.resendID { _ = doubted.withLock { $0.removeValue(forKey: id) } }
        if step.queued > 0 { dispatcherBell.ring() }
        for (reason, count) in step.failures.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            logger.warning(
                "resend items could not be queued",
                metadata: ["resend": "\(step.resendID ?? 0)", "reason": "\(reason.rawValue)", "count": "\(count)"])
        }
        switch step.progress {
        case .idle: return .wait(Self.idleWait)
        case .waiting: return .wait(Self.backlogWait)
        case .advanced: return traffic.isActive(at: now.engine) ? .wait(Self.besideLiveWait) : .again
        case .ended(let state):
            logger.info(
                "resend ended", metadata: ["resend": "\(step.resendID ?? 0)", "state": "\(state.rawValue)"])
            return .again
        }
    }

    /// Makes the jobs of the next merchant of a batch; whether there may be more to make at once.
    private func advanceBatch(now: Timestamp) async throws -> Bool {
        guard let turn = try await store.nextBatchTurn() else { return false }
        var generator = EntropyGenerator(entropy)
        let jobIDs = (0..<turn.windows).map { _ in Resend.newJobID(using: &generator) }
        do {
            switch try await store.take(turn, jobIDs: jobIDs, now: now) {
            case .opened, .ended: return true
            case .waiting, .nothing: return false
            }
        } catch StoreError.failed(let why) {
            try await store.passTurn(turn)
            throw StoreError.failed(why)
        }
    }

    /// A resend that cannot go on must not hold the lock, nor keep the others from their turn (`docs/contract.md` 4.4).
    /// A disk may have been ill for a moment, though: it fails at a second look.
    private func fail(_ broken: ResendBroken, now: Moment) async throws -> Step {
        // The others have their turn, even where this one's end cannot be written.
        last.withLock { $0 = broken.resendID }
        let metadata: Logger.Metadata = ["resend": "\(broken.resendID)", "error": "\(broken.why)"]
        guard let first = doubted.withLock({ $0[broken.resendID] }) else {
            doubted.withLock { $0[broken.resendID] = now.engine }
            logger.warning("a resend met damage; it is looked at again", metadata: metadata)
            return .again
        }
        guard now.engine - first >= Self.secondLookAfter else { return .wait(Self.backlogWait) }
        logger.error("a resend cannot go on", metadata: metadata)
        try await store.failResend(id: broken.resendID, reason: "Internal server error.", now: now.wall)
        _ = doubted.withLock { $0.removeValue(forKey: broken.resendID) }
        return .again
    }

    package func finish() async {}
}
