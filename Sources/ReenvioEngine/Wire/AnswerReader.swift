import ReenvioModel

/// Reads an answer as its bytes come in, as leniently as a recipient may (RFC 9110, RFC 9112). The code of a final
/// status line decides the attempt, whatever is wrong with the rest (`docs/contract.md` 3.3): the rest only decides how
/// much is kept, and whether the connection carries another request. After anything irregular it does not, so that the
/// two sides never disagree on where an answer ends.
struct AnswerReader {
    enum State: Equatable {
        /// No final status yet.
        case awaitingStatus
        /// The final status is known, its head is not complete.
        case readingHead
        case readingBody
        case complete
        /// No HTTP, or beyond a limit. The status counts where it is known.
        case broken
    }

    private enum Part {
        case status, fields
        case counted(left: Int)
        case chunkSize
        case chunk(left: Int)
        case chunkEnd, trailers
        case untilClose
        case done, broken
    }

    private let limits: WireLimits
    private var part = Part.status
    /// The line that is being read, without what a longer one has too much.
    private var line: [UInt8] = []
    private var headBytes = 0
    private var bodyBytes = 0
    private var bodyBytesKept = 0
    private var minorVersion: UInt8 = 0
    private var statusCode: Int?
    private var fields = AnswerFields()
    private var body: [UInt8] = []
    private var isRegular = true

    init(limits: WireLimits) {
        self.limits = limits
    }

    var state: State {
        switch part {
        case .status: statusCode == nil ? .awaitingStatus : .readingHead
        case .fields: hasFinalStatus ? .readingHead : .awaitingStatus
        case .counted, .chunkSize, .chunk, .chunkEnd, .trailers, .untilClose: .readingBody
        case .done: .complete
        case .broken: .broken
        }
    }

    /// What was read so far, its body as text; nil before the final status.
    var answer: WireAnswer? {
        guard let statusCode, hasFinalStatus else { return nil }
        return WireAnswer(
            statusCode: statusCode, retryAfter: fields.text(.retryAfter),
            location: (300..<400).contains(statusCode) ? fields.value(.location).flatMap(AnswerText.location) : nil,
            body: AnswerText.bytes(
                of: body, contentType: fields.text(.contentType), codings: fields.codings,
                atMost: limits.answerBytesKept))
    }

    /// Whether the complete answer leaves a connection that can carry another request.
    var keepsAlive: Bool {
        guard case .done = part, isRegular, statusCode != 101, !fields.has(.connection, "close") else { return false }
        return minorVersion > 0 || fields.has(.connection, "keep-alive")
    }

    /// 101 ends an exchange like any other status: nothing of HTTP can follow.
    private var hasFinalStatus: Bool { statusCode.map { $0 >= 200 || $0 == 101 } ?? false }

    mutating func read(_ bytes: UnsafeRawBufferPointer) {
        var place = 0
        while place < bytes.count {
            switch part {
            case .status, .fields, .chunkSize, .chunkEnd, .trailers:
                if takeLine(bytes, &place) { readLine() } else { lookAhead() }
            case .counted(let left):
                let taken = take(bytes, &place, atMost: left)
                if case .counted = part { part = taken == left ? .done : .counted(left: left - taken) }
            case .chunk(let left):
                let taken = take(bytes, &place, atMost: left)
                if case .chunk = part { part = taken == left ? .chunkEnd : .chunk(left: left - taken) }
            case .untilClose: _ = take(bytes, &place, atMost: .max)
            case .done:
                // Bytes beyond the answer belong to no request.
                isRegular = false
                return
            case .broken: return
            }
        }
    }
}

// MARK: - Lines

extension AnswerReader {
    /// Moves bytes into the line; true at its end. A bare LF ends one, too (RFC 9112, 2.2).
    private mutating func takeLine(_ bytes: UnsafeRawBufferPointer, _ place: inout Int) -> Bool {
        let rest = bytes[place...]
        let end = rest.firstIndex(of: UInt8(ascii: "\n"))
        let part = rest[..<(end ?? bytes.count)]
        headBytes += part.count + 1
        line.append(contentsOf: part.prefix(max(0, limits.headBytes - line.count)))
        place = end.map { $0 + 1 } ?? bytes.count
        if headBytes > limits.headBytes {
            lookAhead()
            self.part = .broken
            return false
        }
        guard end != nil else { return false }
        if line.last == UInt8(ascii: "\r") { line.removeLast() } else { isRegular = false }
        return true
    }

    /// A line that is not whole: the status may be read already, or be none at all.
    private mutating func lookAhead() {
        guard case .status = part, !line.isEmpty, line != [UInt8(ascii: "\r")] else { return }
        if let (minor, code) = StatusLine.read(line, isWhole: false) {
            if code >= 200 || code == 101 { (minorVersion, statusCode) = (minor, code) }
        } else if !StatusLine.mayBegin(line) {
            part = .broken
        }
    }

    private mutating func readLine() {
        defer { line.removeAll(keepingCapacity: true) }
        switch part {
        case .status:
            // Empty lines before it are passed over.
            if line.isEmpty {
                isRegular = false
            } else if let (minor, code) = StatusLine.read(line, isWhole: true) {
                (minorVersion, statusCode) = (minor, code)
                part = .fields
                if !StatusLine.isRegular(line) { isRegular = false }
            } else {
                part = .broken
            }
        case .fields:
            guard line.isEmpty else {
                if !fields.add(line) { isRegular = false }
                return
            }
            if !fields.finish() { isRegular = false }
            if hasFinalStatus { beginBody() } else { passInterim() }
        case .chunkSize:
            part = Self.chunkSize(line).map { $0 == 0 ? .trailers : .chunk(left: $0) } ?? .broken
        case .chunkEnd: part = line.isEmpty ? .chunkSize : .broken
        case .trailers where line.isEmpty: part = .done
        default: break
        }
    }

    /// A head of the 1xx kind: the real one follows.
    private mutating func passInterim() {
        statusCode = nil
        fields = AnswerFields()
        part = .status
    }

    /// Digits of a chunk's size, before its extensions.
    private static func chunkSize(_ line: [UInt8]) -> Int? {
        let digits = line.prefix { $0 != UInt8(ascii: ";") && $0 != 0x20 && $0 != 0x09 }
        guard (1...15).contains(digits.count) else { return nil }
        return Int(String(decoding: digits, as: UTF8.self), radix: 16).flatMap { $0 >= 0 ? $0 : nil }
    }
}

// MARK: - Body

extension AnswerReader {
    private mutating func beginBody() {
        part = bodyPart()
        // Compressed bytes and wide characters: four times the bytes shown are enough for them.
        bodyBytesKept = fields.isPlainText ? limits.answerBytesKept + 3 : 4 * limits.answerBytesKept
    }

    /// How the message ends (RFC 9112, 6.3).
    private mutating func bodyPart() -> Part {
        if statusCode == 101 || statusCode == 204 || statusCode == 304 { return .done }
        let transfer = fields.list(.transferEncoding)
        let lengths = fields.list(.contentLength)
        // Both, repeated, in HTTP/1.0, or spelled otherwise, they are what request smuggling is made of.
        if !transfer.isEmpty, transfer != ["chunked"] || !lengths.isEmpty || minorVersion == 0 { isRegular = false }
        if lengths.count > 1 { isRegular = false }
        if let last = transfer.last(where: { $0 != "identity" }) {
            return last == "chunked" ? .chunkSize : .untilClose
        }
        guard let first = lengths.first else { return .untilClose }
        // Lengths that differ, or are no numbers, leave the end of the message open.
        guard lengths.allSatisfy({ $0 == first }), first.utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
            let length = Int(first)
        else { return .broken }
        return length == 0 ? .done : .counted(left: length)
    }

    /// Takes body bytes, and keeps the first of them.
    private mutating func take(_ bytes: UnsafeRawBufferPointer, _ place: inout Int, atMost most: Int) -> Int {
        let count = min(most, bytes.count - place)
        bodyBytes += count
        body.append(contentsOf: bytes[place..<place + count].prefix(max(0, bodyBytesKept - body.count)))
        place += count
        if bodyBytes > limits.bodyBytes { part = .broken }
        return count
    }
}

/// `HTTP/1.x NNN reason` (RFC 9112, 4), with other blanks between where a sender has them.
enum StatusLine {
    private static let version = Array("HTTP/1.".utf8)

    /// Minor version and code; nil where there is none. A line that is not whole has one once something follows it.
    static func read(_ line: [UInt8], isWhole: Bool) -> (minor: UInt8, code: Int)? {
        guard line.starts(with: version), line.count > version.count else { return nil }
        let minor = line[version.count]
        let rest = line[(version.count + 1)...].drop(while: isBlank)
        guard 0x30...0x39 ~= minor, rest.startIndex > version.count + 1, rest.count > 3 || isWhole && rest.count == 3
        else { return nil }
        let code = rest.prefix(3)
        guard code.allSatisfy({ 0x30...0x39 ~= $0 }), code.first != 0x30, rest.dropFirst(3).first.map(isBlank) ?? true
        else { return nil }
        return (minor - 0x30, code.reduce(0) { $0 * 10 + Int($1 - 0x30) })
    }

    /// Whether a line that has a status is written as a sender must write it.
    static func isRegular(_ line: [UInt8]) -> Bool {
        let code = version.count + 2
        return line[code - 1] == 0x20 && !isBlank(line[code]) && (line.count == code + 3 || line[code + 3] == 0x20)
            && line.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    /// Whether more bytes could make a status line of it.
    static func mayBegin(_ line: [UInt8]) -> Bool {
        guard zip(line, version).allSatisfy(==) else { return false }
        let rest = line.dropFirst(version.count)
        guard let minor = rest.first else { return true }
        let code = rest.dropFirst().drop(while: isBlank)
        return 0x30...0x39 ~= minor && (code.isEmpty || code.startIndex > version.count + 1)
            && code.prefix(3).allSatisfy { 0x30...0x39 ~= $0 } && code.count <= 3
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0D ~= byte && byte != 0x0A }
}
