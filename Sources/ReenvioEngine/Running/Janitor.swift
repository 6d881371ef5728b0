package import Logging
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Forgets: one bounded sweep per step, then a rest.
package final class Janitor: Stepping {
    private static let rest: Duration = .seconds(60)

    package let name = "janitor"
    package let doorbell = Doorbell()
    private let lastMerchantID = Mutex<Int64?>(nil)
    private let store: Store
    private let logger: Logger

    package init(store: Store, logger: Logger) {
        self.store = store
        self.logger = logger
    }

    package func step(now: Moment) async throws -> Step {
        let result = try await store.sweep(after: lastMerchantID.withLock { $0 }, now: now.wall)
        lastMerchantID.withLock { $0 = result.lastMerchantID }
        if result.attempts + result.resends > 0 {
            logger.info(
                "swept", metadata: ["attempts": "\(result.attempts)", "resends": "\(result.resends)"])
        }
        return result.hasMore ? .wait(.milliseconds(20)) : .wait(Self.rest)
    }

    package func finish() async {}
}
