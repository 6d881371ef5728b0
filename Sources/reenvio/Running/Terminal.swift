import Foundation
import ReenvioEngine
import ReenvioModel

/// Standard output and error, unbuffered, and whether a person is looking.
enum Terminal {
    static var now: Timestamp { SystemClock().wall }
    static let isInteractive = isatty(1) == 1
    /// The same for standard error.
    static let isErrorInteractive = isatty(2) == 1

    static func out(_ line: String, terminator: String = "\n") {
        put(line + terminator, on: 1)
    }

    static func error(_ line: String, terminator: String = "\n") {
        put(line + terminator, on: 2)
    }

    /// A bar such as `[#####.....]  50 %`.
    static func bar(_ done: Int64, of total: Int64, width: Int = 30) -> String {
        let filled = total > 0 ? Int(Int64(width) * min(done, total) / total) : width
        let percent = total > 0 ? 100 * min(done, total) / total : 100
        return "[\(String(repeating: "#", count: filled))\(String(repeating: ".", count: width - filled))] \(percent) %"
    }

    private static func put(_ text: String, on file: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = bytes.withUnsafeBytes { write(file, $0.baseAddress, $0.count) }
            if written <= 0 { return }
            bytes = bytes.dropFirst(written)
        }
    }
}
