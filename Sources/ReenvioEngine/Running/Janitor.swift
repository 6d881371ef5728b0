package import Logging
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Forgets: one bounded sweep per step, then a rest.
package final class Janitor: Stepping {
    private static let rest: Duration = .seconds(60)

    package let name = "janitor"
    package let doorbell = Doorbell()
    private let position = Mutex(SweepPosition())
    private let store: Store
    private let retention: Retention
    private let logger: Logger

    package init(store: Store, retention: Retention, logger: Logger) {
        self.store = store
        self.retention = retention
        self.logger = logger
    }

    package func step(now: Moment) async throws -> Step {
        let result = try await store.sweep(
            from: position.withLock { $0 }, retention: retention, now: now.wall)
        position.withLock { $0 = result.position }
        if !result.removed.isEmpty {
            let counts = result.removed.map { ($0.kind, Logger.MetadataValue.string(String($0.count))) }
            logger.info("swept", metadata: Dictionary(uniqueKeysWithValues: counts))
        }
        let expired = try await store.expireBroken(now: now.wall, engineNow: now.engine)
        if expired > 0 { logger.warning("deliveries to broken receivers given up", metadata: ["count": "\(expired)"]) }
        return result.hasMore || expired >= Store.sweepMax ? .wait(.milliseconds(20)) : .wait(Self.rest)
    }

    package func finish() async {}
}
