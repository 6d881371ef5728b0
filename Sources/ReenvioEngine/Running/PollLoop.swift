package import Logging
package import NIOCore
package import ReenvioModel
package import ServiceLifecycle

/// What a background part wants next.
package enum Step: Sendable, Equatable {
    case again
    /// Nothing to do for so long, unless its doorbell rings.
    case wait(Duration)
}

/// A background part: does one bounded piece of work and says when to come back. It never loops or waits itself, so
/// that tests and the simulation can call it directly (`docs/architecture.md`, rule 8).
package protocol Stepping: Sendable {
    var name: String { get }
    var doorbell: Doorbell { get }
    func step(now: Moment) async throws -> Step
    /// Called once after the last step: hand back what is held.
    func finish() async
}

/// The one loop of the system: steps its part until shutdown, waits between, and survives every error.
package struct PollLoop: Service {
    private let part: any Stepping
    private let clock: any TimeSource
    private let eventLoop: any EventLoop
    private let logger: Logger

    package init(
        _ part: any Stepping, clock: any TimeSource, on eventLoop: any EventLoop, logger: Logger
    ) {
        self.part = part
        self.clock = clock
        self.eventLoop = eventLoop
        self.logger = logger
    }

    package func run() async throws {
        let shutdown = Flag()
        // Rings for shutdown only: after a failure no other bell shortens the pause.
        let end = Doorbell()
        var failures = FailureNotes()
        await withTaskCancellationOrGracefulShutdownHandler {
            while !shutdown.isRaised {
                do {
                    let step = try await part.step(now: clock.now)
                    failures.succeeded()
                    guard case .wait(let wait) = step, !shutdown.isRaised else { continue }
                    await part.doorbell.wait(atMost: wait, on: eventLoop)
                } catch {
                    let pause = note(error, &failures)
                    if !shutdown.isRaised { await end.wait(atMost: pause, on: eventLoop) }
                }
            }
        } onCancelOrGracefulShutdown: {
            shutdown.raise()
            part.doorbell.ring()
            end.ring()
        }
        await part.finish()
    }

    /// Returns how long to wait before the next step.
    private func note(_ error: any Error, _ failures: inout FailureNotes) -> Duration {
        let (pause, count) = failures.failed(error, now: .now)
        if let count {
            logger.error(
                "a background step failed; it is tried again",
                metadata: ["part": "\(part.name)", "error": "\(error)", "count": "\(count)"])
        }
        return pause
    }
}
