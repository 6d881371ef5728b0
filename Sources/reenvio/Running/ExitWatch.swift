import Dispatch
import Foundation
import Logging

/// Ends the process when stopping takes too long, whatever hangs: a database, a disk, a log that is not read. What was
/// in flight comes back by its lease. On a thread of its own, because any other may be one of those that hang.
final class ExitWatch {
    /// From the end of the drain delay.
    static let limit: DispatchTimeInterval = .milliseconds(9_800)
    /// What the process ends with then.
    static let exitCode: CInt = 1

    private let signals: DispatchSemaphore
    private let sources: [any DispatchSourceSignal]

    /// - Parameter delay: `REENVIO_DRAIN_DELAY`, which a second signal ends.
    init(delay: Duration, logger: Logger) {
        let signals = DispatchSemaphore(value: 0)
        self.signals = signals
        let queue = DispatchQueue(label: "reenvio.exit", qos: .userInteractive)
        sources = [SIGTERM, SIGINT].map { number in
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { signals.signal() }
            source.resume()
            return source
        }
        let thread = Thread {
            signals.wait()
            let seconds = Int(delay.components.seconds)
            var end = DispatchTime.now() + .seconds(seconds) + Self.limit
            if seconds > 0, signals.wait(timeout: end) == .success { end = min(end, .now() + Self.limit) }
            while signals.wait(timeout: end) == .success {}
            logger.error("stopping took too long; the process ends now, and leases bring back what was in flight")
            LogWriter.shared.flush(within: .milliseconds(200))
            _exit(Self.exitCode)
        }
        thread.name = "reenvio exit watch"
        thread.start()
    }
}
