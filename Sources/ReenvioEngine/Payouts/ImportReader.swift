import Dispatch
import Foundation
package import ReenvioModel
import Synchronization

/// Lines of an import, read and checked: what one transaction takes.
package struct ImportBatch: Sendable {
    package enum Content: Sendable, Equatable {
        case payout(ImportLine)
        case refused(ImportRefusal)
    }

    /// Each with the number of its line, from 1.
    package var lines: [(number: Int, content: Content)] = []
    /// Bytes of the input read so far.
    package var bytesRead: Int64 = 0

    package init() {}

    package var payouts: [ImportLine] {
        lines.compactMap { if case .payout(let line) = $0.content { line } else { nil } }
    }
}

/// Reads and checks the lines of an import on a thread of its own, for reading may block.
package final class ImportReader: Sendable {
    package struct Failed: Error, CustomStringConvertible {
        package var description: String
    }

    private struct State {
        var lines: LineReader
        var lineNumber = 0
    }

    private static let chunkBytes = 256 << 10

    private let state: Mutex<State>
    private let policy: AddressPolicy
    private let clock: any TimeSource
    private let queue = DispatchQueue(label: "reenvio.import")

    /// Reads `file`, an open file descriptor, to its end. It stays open.
    package init(file: Int32, policy: AddressPolicy, clock: any TimeSource) {
        self.policy = policy
        self.clock = clock
        state = Mutex(State(lines: LineReader(lineBytesMax: Limits.importLineBytes) { try Self.read(file) }))
    }

    /// The next lines, at most `size`; nil after the last. Blank lines are numbered, but not given.
    /// - Throws: `Failed` when the input cannot be read.
    package func next(atMost size: Int) async throws -> ImportBatch? {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try self.readBatch(size) }) }
        }
    }

    private func readBatch(_ size: Int) throws -> ImportBatch? {
        let now = clock.wall
        return try state.withLock { state in
            var batch = ImportBatch()
            while batch.lines.count < size, let line = try state.lines.next() {
                state.lineNumber += 1
                if let content = content(of: line, now: now) { batch.lines.append((state.lineNumber, content)) }
            }
            batch.bytesRead = state.lines.bytesRead
            return batch.lines.isEmpty ? nil : batch
        }
    }

    private func content(of line: LineReader.Line, now: Timestamp) -> ImportBatch.Content? {
        guard case .text(let bytes) = line else { return .refused(.tooLong) }
        if bytes.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }) { return nil }
        do {
            return .payout(try ImportLine.parse(bytes, policy: policy, now: now))
        } catch {
            return .refused(error)
        }
    }

    private static func read(_ file: Int32) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: chunkBytes) { buffer, filled in
            var bytes = Foundation.read(file, buffer.baseAddress, chunkBytes)
            while bytes < 0, errno == EINTR { bytes = Foundation.read(file, buffer.baseAddress, chunkBytes) }
            guard bytes >= 0 else { throw Failed(description: String(cString: strerror(errno))) }
            filled = bytes
        }
    }
}
