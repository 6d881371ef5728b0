package import Logging
import Synchronization

/// Keeps what was logged, for tests that read it.
package final class LogBook: Sendable {
    package struct Line: Equatable, Sendable {
        package var level: Logger.Level
        package var message: String
        package var fields: [String: String]

        package init(level: Logger.Level, message: String, fields: [String: String]) {
            self.level = level
            self.message = message
            self.fields = fields
        }
    }

    private let kept = Mutex<[Line]>([])

    package init() {}

    package var lines: [Line] { kept.withLock { $0 } }

    package var logger: Logger {
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
