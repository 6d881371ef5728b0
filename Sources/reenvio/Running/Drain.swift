import Logging
import ReenvioEngine
import ServiceLifecycle
import UnixSignals

/// Waits for the first signal to stop, then lets the server work on for a while as not ready, so that a balancer sends
/// new requests elsewhere before the port closes. The group shuts down when this service returns.
struct Drain: Service, CustomStringConvertible {
    let signals: UnixSignalsSequence
    let delay: Duration
    /// Raised with the first signal: readiness and connections follow it.
    let isDraining: Flag
    let logger: Logger

    var description: String { "drain" }

    func run() async throws {
        let (begun, beginning) = AsyncStream<Void>.makeStream()
        await withTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                for await _ in signals {
                    // The second one skips the rest of the delay.
                    if isDraining.isRaised { return }
                    isDraining.raise()
                    logger.notice("stopping", metadata: ["drain_seconds": "\(delay.components.seconds)"])
                    if delay == .zero { return }
                    beginning.yield()
                }
            }
            tasks.addTask {
                for await _ in begun {
                    try? await Task.sleep(for: delay)
                    return
                }
            }
            await tasks.next()
            tasks.cancelAll()
        }
    }
}
