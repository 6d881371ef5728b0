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

    /// What a change of a file moves.
    private struct Version: Equatable {
        var bytes: Int64
        var seconds: Int
        var nanoseconds: Int
    }

    private struct State {
        var lines: LineReader
        /// The file as it was when its ids were looked at.
        var version: Version?
        var lineNumber = 0
    }

    private static let chunkBytes = 256 << 10

    private let file: Int32
    private let state: Mutex<State>
    private let policy: AddressPolicy
    private let clock: any TimeSource
    private let queue = DispatchQueue(label: "reenvio.import")

    /// Reads `file`, an open file descriptor, to its end. It stays open.
    package init(file: Int32, policy: AddressPolicy, clock: any TimeSource) {
        self.file = file
        self.policy = policy
        self.clock = clock
        state = Mutex(
            State(
                lines: LineReader(lineBytesMax: Limits.importLineBytes) {
                    try Self.read { Foundation.read(file, $0, Self.chunkBytes) }
                }))
    }

    /// The largest id in the lines of a file, read once before the first call of `next`, which then fails should the
    /// file have changed: 0 where no line has one. Nil for what can be read once only, a pipe.
    /// - Throws: `Failed` when the file cannot be read.
    package func largestID() async throws -> Int64? {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { continuation.resume(with: Result { try self.readIDs() }) }
        }
    }

    private func readIDs() throws -> Int64? {
        guard let version = try version() else { return nil }
        // Standard input may be a file of which something was read before.
        var offset = lseek(file, 0, SEEK_CUR)
        guard offset >= 0 else { return nil }
        // A date that is too far ahead now may not be when the line is read again.
        let now = clock.wall + .seconds(86_400 * 365)
        var lines = LineReader(lineBytesMax: Limits.importLineBytes) { [file] in
            let bytes = try Self.read { pread(file, $0, Self.chunkBytes, offset) }
            offset += off_t(bytes.count)
            return bytes
        }
        var largest: Int64 = 0
        while let line = try lines.next() {
            if case .payout(let payout)? = content(of: line, now: now), let id = payout.id {
                largest = max(largest, id)
            }
        }
        state.withLock { $0.version = version }
        return largest
    }

    /// Nil for anything but a file.
    private func version() throws -> Version? {
        var about = stat()
        guard fstat(file, &about) == 0 else { throw Failed(description: String(cString: strerror(errno))) }
        guard about.st_mode & S_IFMT == S_IFREG else { return nil }
        return Version(
            bytes: Int64(about.st_size), seconds: about.st_mtim.tv_sec, nanoseconds: about.st_mtim.tv_nsec)
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
            if let known = state.version, try known != version() {
                throw Failed(description: "the file changed while it was read")
            }
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

    private static func read(_ read: (UnsafeMutableRawPointer?) -> Int) throws -> [UInt8] {
        try [UInt8](unsafeUninitializedCapacity: chunkBytes) { buffer, filled in
            var bytes = read(buffer.baseAddress)
            while bytes < 0, errno == EINTR { bytes = read(buffer.baseAddress) }
            guard bytes >= 0 else { throw Failed(description: String(cString: strerror(errno))) }
            filled = bytes
        }
    }
}
