import Logging
import Synchronization

/// Keeps what was logged, for tests that read it.
final class LogBook: Sendable {
    struct Line: Equatable, Sendable {
        var level: Logger.Level
        var message: String
        var fields: [String: String]
    }

    private let kept = Mutex<[Line]>([])

    var lines: [Line] { kept.withLock { $0 } }

    var logger: Logger {
        Logger(label: "test") { _ in Handler(book: self) }
    }

    private struct Handler: LogHandler {
        let book: LogBook
        var logLevel = Logger.Level.trace
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            let fields = (event.metadata ?? [:]).mapValues { "\($0)" }
            let line = Line(level: event.level, message: event.message.description, fields: fields)
            book.kept.withLock { $0.append(line) }
        }
    }
}
