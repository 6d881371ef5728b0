import NIOCore
import NIOPosix
import ReenvioEngine

/// Waiting in the demo: for a condition, looked at often, with a limit.
enum DemoClock {
    static let loop: any EventLoop = MultiThreadedEventLoopGroup.singleton.any()

    /// - Throws: when the condition does not come true within the limit.
    static func until(
        _ what: String, within limit: Duration = .seconds(10), _ condition: () async throws -> Bool
    ) async throws {
        let start = ContinuousClock.now
        while try await !condition() {
            guard ContinuousClock.now - start < limit else {
                throw DemoClient.Failed(description: "\(what) did not happen in time")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
