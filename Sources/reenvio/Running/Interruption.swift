import Dispatch
import Foundation

/// Removes unfinished files where a command is interrupted (SIGINT, SIGTERM), and ends it.
final class Interruption {
    private static let signals = [SIGINT, SIGTERM]

    private let sources: [any DispatchSourceSignal]

    /// - Parameter files: removed at the signal; those that are not there are none.
    init(removing files: [String]) {
        let queue = DispatchQueue(label: "reenvio interruption")
        sources = Self.signals.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler {
                for file in files { unlink(file) }
                Terminal.error("reenvio: interrupted")
                _exit(128 + number)
            }
            source.resume()
            return source
        }
    }

    deinit {
        for source in sources { source.cancel() }
        for number in Self.signals { signal(number, SIG_DFL) }
    }
}
