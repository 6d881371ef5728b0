package import Logging
package import ReenvioStore
import Synchronization

/// Looks after the files of a store that has them here, once a second: whether they are still those that were opened,
/// and how long the log is. Says each change once.
package final class StoreWatch: Stepping {
    private static let every: Duration = .seconds(1)

    private struct State {
        var isLossSaid = false
        var saidBytes: Int64?
    }

    package let name = "store watch"
    package let doorbell = Doorbell()
    private let files: (any StoreFiles)?
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter files: nil for a store that lies elsewhere.
    package init(files: (any StoreFiles)?, logger: Logger) {
        self.files = files
        self.logger = logger
    }

    package func step(now: Moment) async throws -> Step {
        guard let files else { return .wait(.seconds(3_600)) }
        await files.tend()
        if let loss = files.loss, state.withLock({ !$0.isLossSaid }) {
            state.withLock { $0.isLossSaid = true }
            logger.error(
                "the store's files were changed below the server; nothing more is written",
                metadata: ["error": "\(loss)"])
        }
        sayLength(files)
        return .wait(Self.every)
    }

    private func sayLength(_ files: any StoreFiles) {
        let bytes = files.logBytes
        let said = state.withLock { $0.saidBytes }
        if let bound = files.bounds.warning(logBytes: bytes, said: said) {
            state.withLock { $0.saidBytes = bound }
            logger.warning(
                "the log of the store grows: something keeps reading an old state of it",
                metadata: ["bytes": "\(bytes)"])
        } else if said != nil, bytes < files.bounds.givenBack {
            state.withLock { $0.saidBytes = nil }
            logger.notice("the log of the store was given back", metadata: ["bytes": "\(bytes)"])
        }
    }

    package func finish() async {}
}
