import Foundation
import Logging
import ReenvioModel

/// Logs go to standard error, one line each.
enum LogSetup {
    static func logger(_ settings: Settings) -> Logger {
        var logger: Logger
        switch settings.logFormat {
        case .text: logger = Logger(label: "reenvio") { StreamLogHandler(label: $0, stream: LogWriter.shared) }
        case .json: logger = Logger(label: "reenvio") { _ in JSONLogHandler() }
        }
        logger.logLevel = settings.logLevel
        return logger
    }
}

/// Writes `{"at":...,"level":...,"message":...}` and the metadata as further members.
struct JSONLogHandler: LogHandler {
    var logLevel: Logger.Level = .info
    var metadata: Logger.Metadata = [:]

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var writer = JSONWriter()
        let now = Timestamp(microseconds: Int64(clock()))
        writer.object { writer in
            writer.member("at", TimeText.micro(now))
            writer.member("level", event.level.rawValue)
            writer.member("message", event.message.description)
            var all = metadata
            if let extra = event.metadata { all.merge(extra) { _, new in new } }
            for (key, value) in all.sorted(by: { $0.key < $1.key }) where !["at", "level", "message"].contains(key) {
                writer.member(key, "\(value)")
            }
        }
        LogWriter.shared.write(writer.bytes + [UInt8(ascii: "\n")])
    }

    private func clock() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        return now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
    }
}
