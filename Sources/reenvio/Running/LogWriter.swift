import Dispatch
import Foundation
import Synchronization

/// Writes whole log lines to standard error from a queue of its own, so that a slow reader never holds up a delivery.
/// What waits is bounded: past it lines are dropped, and the next one that is written says how many.
final class LogWriter: TextOutputStream, Sendable {
    static let shared = LogWriter()

    private struct State {
        var waitingBytes = 0
        var dropped = 0
    }

    private static let waitingBytesMax = 4 << 20

    private let state = Mutex(State())
    private let queue = DispatchQueue(label: "reenvio.log")

    func write(_ text: String) {
        write(Array(text.utf8))
    }

    func write(_ line: [UInt8]) {
        let isAccepted = state.withLock { state in
            guard state.waitingBytes + line.count <= Self.waitingBytesMax else {
                state.dropped += 1
                return false
            }
            state.waitingBytes += line.count
            return true
        }
        if isAccepted { queue.async { self.put(line) } }
    }

    /// Returns when everything accepted so far has been written, or after that time: what reads standard error may have
    /// stopped reading.
    func flush(within time: DispatchTimeInterval = .seconds(1)) {
        let written = DispatchSemaphore(value: 0)
        queue.async { written.signal() }
        _ = written.wait(timeout: .now() + time)
    }

    private func put(_ line: [UInt8]) {
        let dropped = state.withLock { state in
            defer { state.dropped = 0 }
            return state.dropped
        }
        if dropped > 0 {
            putAll(Array("{\"level\":\"warning\",\"message\":\"\(dropped) log lines were dropped\"}\n".utf8))
        }
        putAll(line)
        state.withLock { $0.waitingBytes -= line.count }
    }

    private func putAll(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Foundation.write(2, $0.baseAddress, $0.count) }
            if written < 0, errno == EINTR { continue }
            if written <= 0 { return }
            rest = rest.dropFirst(written)
        }
    }
}
