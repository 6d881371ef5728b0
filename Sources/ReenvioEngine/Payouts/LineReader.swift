import Foundation

/// Cuts a stream of bytes into lines, with memory for one line at most. A line ends with LF or CRLF, the last one also
/// with the stream; a byte order mark before the first is dropped.
package struct LineReader {
    package enum Line: Equatable {
        /// Without its end.
        case text(ArraySlice<UInt8>)
        /// Longer than allowed; its bytes are gone.
        case tooLong
    }

    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// Bytes read so far.
    package private(set) var bytesRead: Int64 = 0
    private let lineBytesMax: Int
    private let read: () throws -> [UInt8]
    private var buffer: [UInt8] = []
    /// Where the current line begins, and up to where no LF was found in it.
    private var start = 0
    private var searched = 0
    private var isFirst = true
    /// Inside a line of which the beginning was thrown away.
    private var isSkipping = false
    private var isAtEnd = false

    /// - Parameters:
    ///   - lineBytesMax: the longest line, its end not counted.
    ///   - read: the next bytes, as many as there are; none at the end.
    package init(lineBytesMax: Int, read: @escaping () throws -> [UInt8]) {
        self.lineBytesMax = lineBytesMax
        self.read = read
    }

    /// The next line; nil after the last. Throws what `read` throws.
    package mutating func next() throws -> Line? {
        while true {
            if let end = findEnd() {
                defer { (start, searched) = (end + 1, end + 1) }
                return cut(buffer[start..<end])
            }
            if isAtEnd {
                guard start < buffer.count || isSkipping else { return nil }
                defer { start = buffer.count }
                return cut(buffer[start...])
            }
            try refill()
        }
    }

    private mutating func cut(_ bytes: ArraySlice<UInt8>) -> Line {
        var line = bytes
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        if isFirst, line.starts(with: Self.byteOrderMark) { line.removeFirst(Self.byteOrderMark.count) }
        let isTooLong = isSkipping || line.count > lineBytesMax
        (isFirst, isSkipping) = (false, false)
        return isTooLong ? .tooLong : .text(line)
    }

    private mutating func findEnd() -> Int? {
        let found = buffer.withUnsafeBytes { bytes -> Int? in
            guard let base = bytes.baseAddress, searched < bytes.count,
                let hit = memchr(base + searched, Int32(UInt8(ascii: "\n")), bytes.count - searched)
            else { return nil }
            return base.distance(to: hit)
        }
        if found == nil { searched = buffer.count }
        return found
    }

    private mutating func refill() throws {
        // CR and a byte order mark may stand beside a line of full length.
        if buffer.count - start > lineBytesMax + 1 + Self.byteOrderMark.count {
            isSkipping = true
            start = buffer.count
        }
        buffer.removeSubrange(..<start)
        (start, searched) = (0, buffer.count)
        let more = try read()
        bytesRead += Int64(more.count)
        isAtEnd = more.isEmpty
        buffer += more
    }
}
