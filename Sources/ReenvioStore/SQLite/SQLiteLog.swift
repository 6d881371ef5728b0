import Foundation

/// What lies in the log of a SQLite store that nobody has open, read from the files before SQLite recovers the log and,
/// with its last connection, deletes it.
package struct SQLiteLog: Sendable, Equatable {
    /// Frames that SQLite will lay over the file: whole transactions from the front of the log.
    package private(set) var frames = 0
    /// Frames of the same generation behind those, which it will pass over.
    package private(set) var lostFrames = 0
    /// Transactions that ended in one unbroken row of those.
    package private(set) var lostCommits = 0
    /// What the index that a killed process left says of the log, where it speaks of this generation.
    package private(set) var indexed: (frames: Int, copied: Int)?
    /// Whether the file was written after the log, and holds other pages than the log has for it.
    package private(set) var isOlderThanFile = false

    package static func == (left: SQLiteLog, right: SQLiteLog) -> Bool {
        left.frames == right.frames && left.lostFrames == right.lostFrames && left.lostCommits == right.lostCommits
            && left.indexed?.frames == right.indexed?.frames && left.indexed?.copied == right.indexed?.copied
            && left.isOlderThanFile == right.isOlderThanFile
    }

    /// Nothing where there is neither a log nor an index, or where a process has the store open.
    package init?(of store: StorePath) throws {
        guard !Self.isOpen(store.file) else { return nil }
        let index = try Self.contents(store.file + "-shm").flatMap(LogIndex.init)
        let log = try Self.contents(store.file + "-wal")
        guard log != nil || index != nil else { return nil }
        if let log { read(log, ofFile: store.file) }
        indexed = index.flatMap { index in
            // A log of another generation says nothing; without any log the index is all there is.
            guard let log, log.count >= LogFrames.headBytes else { return index.counts }
            return index.salts == LogFrames.salts(log, at: 16) ? index.counts : nil
        }
    }

    /// What is certainly damaged. A kill or a power cut may leave one unfinished transaction at the end, never more:
    /// each is on the disk before the next begins.
    package var damage: [String] {
        if lostCommits > 1 {
            return [
                "the log is damaged: \(frames) frames are valid, \(lostFrames) after that are not, and hold "
                    + "\(lostCommits) transactions"
            ]
        }
        if let indexed, indexed.frames > frames, indexed.copied < indexed.frames {
            return [
                "the log is cut, or gone: it had \(indexed.frames) frames, of which \(indexed.copied) are in the file; "
                    + "\(frames) are valid"
            ]
        }
        return []
    }

    package var warnings: [String] {
        var warnings: [String] = []
        if frames > 0, damage.isEmpty {
            warnings.append("the log of a killed process was recovered: \(frames) frames")
        }
        if lostFrames > 0, damage.isEmpty {
            warnings.append(
                "the log is possibly cut or damaged: \(frames) frames are valid, \(lostFrames) after that are not; a "
                    + "kill in the middle of a write leaves the same")
        }
        if isOlderThanFile {
            warnings.append(
                "the file was written after its log, and differs from it: if the file was put there, the log is not "
                    + "its own")
        }
        return warnings
    }

    /// Each process that has a store with a log open keeps a shared lock on bytes of the file that SQLite never writes
    /// (https://www.sqlite.org/src/file/src/os.h). Asks only, and only where this process is not one of them.
    private static func isOpen(_ path: String) -> Bool {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = 0x4000_0002
        lock.l_len = 510
        return fcntl(file, F_GETLK, &lock) == 0 && lock.l_type != Int16(F_UNLCK)
    }

    private static func contents(_ path: String) throws -> Data? {
        guard FileSteps.exists(path) else { return nil }
        guard let data = try? Data(contentsOf: URL(fileURLWithPath: path), options: .alwaysMapped) else {
            throw StoreError.unavailable("\(path) cannot be read")
        }
        return data
    }

    private mutating func read(_ log: Data, ofFile path: String) {
        guard let found = LogFrames(log) else { return }
        frames = found.valid
        lostFrames = found.lost
        lostCommits = found.lostCommits
        isOlderThanFile = frames > 0 && Self.isNewer(path, than: path + "-wal") && found.differs(fromFile: path)
    }

    private static func isNewer(_ path: String, than other: String) -> Bool {
        var one = stat()
        var two = stat()
        guard stat(path, &one) == 0, stat(other, &two) == 0 else { return false }
        return (one.st_mtim.tv_sec, one.st_mtim.tv_nsec) > (two.st_mtim.tv_sec, two.st_mtim.tv_nsec)
    }
}

/// The frames of a log file (https://www.sqlite.org/fileformat2.html#walformat).
private struct LogFrames {
    static let headBytes = 32
    private static let frameHeadBytes = 24

    private(set) var valid = 0
    private(set) var lost = 0
    private(set) var lostCommits = 0
    /// Where the newest valid copy of each page stands.
    private var places: [UInt32: Int] = [:]
    private let log: Data
    private let pageBytes: Int

    /// Nil for a file that holds no frame.
    init?(_ log: Data) {
        self.log = log
        guard log.count >= Self.headBytes + Self.frameHeadBytes else { return nil }
        let pageBytes = Int(Self.number(log, at: 8))
        self.pageBytes = pageBytes
        guard pageBytes >= 512, pageBytes <= 65_536, pageBytes.nonzeroBitCount == 1 else {
            // The head is no more to be read: nothing of the log is.
            (lost, lostCommits) = (log.count / 4_096, 2)
            return
        }
        log.withUnsafeBytes { read($0) }
    }

    private mutating func read(_ bytes: UnsafeRawBufferPointer) {
        let magic = Self.number(log, at: 0)
        let isBigEndian = magic & 1 == 1
        var sum = Checksum(isBigEndian: isBigEndian)
        sum.add(bytes, from: 0, count: 24)
        var isChained = magic & ~1 == 0x377F_0682 && sum.is(Self.number(log, at: 24), Self.number(log, at: 28))
        // With a damaged head the salts of the first frame say which generation was being written.
        let salts = Self.salts(log, at: isChained ? 16 : Self.headBytes + 8)
        var frame = 0
        var pending: [UInt32: Int] = [:]
        var commits = 0
        var place = Self.headBytes
        while place + Self.frameHeadBytes + pageBytes <= bytes.count {
            frame += 1
            defer { place += Self.frameHeadBytes + pageBytes }
            guard Self.salts(log, at: place + 8) == salts else {
                isChained = false
                continue
            }
            let isCommit = Self.number(log, at: place + 4) != 0
            sum.add(bytes, from: place, count: 8)
            sum.add(bytes, from: place + Self.frameHeadBytes, count: pageBytes)
            let stored = (Self.number(log, at: place + 16), Self.number(log, at: place + 20))
            let follows = sum.is(stored.0, stored.1)
            isChained = isChained && follows
            guard isChained else {
                // Transactions that could not be committed leave pieces behind, each with one end at most. What
                // follows what was lost goes on from frame to frame.
                commits = (follows ? commits : 0) + (isCommit ? 1 : 0)
                lostCommits = max(lostCommits, commits)
                lost += 1
                sum = Checksum(isBigEndian: isBigEndian, stored)
                continue
            }
            pending[Self.number(log, at: place)] = place + Self.frameHeadBytes
            guard isCommit else { continue }
            places.merge(pending) { $1 }
            pending.removeAll()
            valid = frame
        }
    }

    /// Whether a page of the file is not what the log has for it.
    func differs(fromFile path: String) -> Bool {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        // Nobody has the store open here, so no lock of SQLite is dropped by this.
        defer { close(file) }
        var page = [UInt8](repeating: 0, count: pageBytes)
        for (number, place) in places {
            let got = pread(file, &page, pageBytes, off_t(number - 1) * off_t(pageBytes))
            if got != pageBytes || log[log.startIndex + place..<log.startIndex + place + pageBytes] != Data(page) {
                return true
            }
        }
        return false
    }

    static func number(_ data: Data, at place: Int) -> UInt32 {
        data[data.startIndex + place..<data.startIndex + place + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }

    static func salts(_ data: Data, at place: Int) -> [UInt32] {
        [number(data, at: place), number(data, at: place + 4)]
    }
}

/// The running sum over a log's head and frames.
private struct Checksum {
    private var first: UInt32
    private var second: UInt32
    private let isBigEndian: Bool

    init(isBigEndian: Bool, _ start: (UInt32, UInt32) = (0, 0)) {
        self.isBigEndian = isBigEndian
        (first, second) = start
    }

    mutating func add(_ bytes: UnsafeRawBufferPointer, from start: Int, count: Int) {
        var place = start
        while place < start + count {
            let one = bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)
            let two = bytes.loadUnaligned(fromByteOffset: place + 4, as: UInt32.self)
            first = first &+ (isBigEndian ? one.bigEndian : one.littleEndian) &+ second
            second = second &+ (isBigEndian ? two.bigEndian : two.littleEndian) &+ first
            place += 8
        }
    }

    func `is`(_ one: UInt32, _ two: UInt32) -> Bool { first == one && second == two }
}

/// The head of the shared index (https://www.sqlite.org/walformat.html#the_wal_index_file_format), in the machine's
/// own byte order. SQLite writes it after the sync of the frames that it counts.
private struct LogIndex {
    let counts: (frames: Int, copied: Int)
    /// As they stand in the log, byte for byte.
    let salts: [UInt32]

    /// Nil for an index that was never finished, or is torn.
    init?(_ index: Data) {
        guard index.count >= 136, index.prefix(48) == index.dropFirst(48).prefix(48) else { return nil }
        let (sum, wanted, words, isReady) = index.withUnsafeBytes { bytes in
            var sum = Checksum(isBigEndian: 1.bigEndian == 1)
            sum.add(bytes, from: 0, count: 40)
            func word(_ place: Int) -> UInt32 { bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self) }
            return (sum, (word(40), word(44)), (frames: word(16), copied: word(96)), bytes[12] != 0)
        }
        guard isReady, sum.is(wanted.0, wanted.1) else { return nil }
        counts = (Int(words.frames), Int(words.copied))
        salts = LogFrames.salts(index, at: 32)
    }
}
