package import Logging
package import ReenvioStore
import Synchronization

/// Looks after the files of a store that has them here, once a second: whether they are still those that were opened,
/// and how long the log is; and after the servers of a store that is on one. Says each change once.
package final class StoreWatch: Stepping {
    private static let every: Duration = .seconds(1)

    private struct State {
        var isLossSaid = false
        var saidBytes: Int64?
        var adopted: String?
        var refusals = 0
        var refusalSaidAt: ContinuousClock.Instant?
    }

    package let name = "store watch"
    package let doorbell = Doorbell()
    private static let sayRefusalsEvery: Duration = .seconds(60)
    private let files: (any StoreFiles)?
    private let sharing: (any StoreSharing)?
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameters:
    ///   - files: nil for a store that lies elsewhere.
    ///   - sharing: nil for a store that is on no server.
    package init(files: (any StoreFiles)?, sharing: (any StoreSharing)? = nil, logger: Logger) {
        self.files = files
        self.sharing = sharing
        self.logger = logger
    }

    package func step(now: Moment) async throws -> Step {
        if let sharing { say(sharing.serverNews) }
        guard let files else { return .wait(sharing == nil ? .seconds(3_600) : Self.every) }
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

    private func say(_ news: ServerNews) {
        let (adopted, refusals) = state.withLock { state in
            let adopted = news.adopted == state.adopted ? nil : news.adopted
            state.adopted = news.adopted
            let isDue = state.refusalSaidAt.map { .now - $0 >= Self.sayRefusalsEvery } ?? true
            guard news.refusals > state.refusals, isDue else { return (adopted, 0) }
            defer { state.refusals = news.refusals }
            state.refusalSaidAt = .now
            return (adopted, news.refusals - state.refusals)
        }
        if let adopted {
            logger.warning("the store is on another database system than before", metadata: ["servers": "\(adopted)"])
        }
        if refusals > 0 {
            logger.error(
                "a database server was refused",
                metadata: ["error": "\(news.refusal ?? "")", "count": "\(refusals)"])
        }
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
