import Foundation
import ReenvioStore

/// Held while a store is opened or made: waits for whoever does the same in that folder, which it creates.
final class FolderLock {
    private let folder: Int32

    init(of storePath: String) throws {
        let path = URL(fileURLWithPath: storePath).deletingLastPathComponent().path
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw StoreLock.Taken(description: "the folder \(path) cannot be created")
        }
        folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { throw StoreLock.Taken(description: "the folder \(path) cannot be opened") }
        while flock(folder, LOCK_EX) != 0 {
            guard errno == EINTR else { throw StoreLock.Taken(description: "the folder \(path) cannot be locked") }
        }
    }

    deinit {
        close(folder)
    }
}

/// Held by a running server: two on one SQLite file are refused, whatever name they have for it. The kernel lets go of
/// it when the process ends, however it ends.
///
/// There are two locks: one on the file `<store>.lock`, which older versions know, and one on the database file itself,
/// which is the same by each of its names.
final class StoreLock {
    struct Taken: Error, CustomStringConvertible {
        var description: String
    }

    private enum Attempt {
        case locked(Int32)
        case taken
        case impossible
    }

    /// Others look for a moment only: whoever is met for longer is a server.
    private static let looks = 25
    private static let look: Duration = .milliseconds(20)

    private let files: [Int32]

    private init(files: [Int32]) {
        self.files = files
    }

    /// Takes both locks of an open store.
    static func take(_ store: StorePath) async throws -> StoreLock {
        var files: [Int32] = []
        for path in Set([store.file, store.given]).map({ $0 + ".lock" }).sorted() {
            guard let file = try await locked(path, creating: true) else {
                for file in files { close(file) }
                throw Taken(description: "another reenvio serves \(store.file) already")
            }
            files.append(file)
        }
        // Never closed: that would drop the locks that SQLite has on the file in this process.
        guard try await locked(store.file, creating: false) != nil else {
            for file in files { close(file) }
            throw Taken(description: "another reenvio serves \(store.file) already, under another name")
        }
        return StoreLock(files: files)
    }

    /// Nil where another process holds it.
    private static func locked(_ path: String, creating: Bool) async throws -> Int32? {
        let file = open(path, (creating ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Taken(description: "the lock file \(path) cannot be opened") }
        for _ in 0..<looks {
            // A file system without such locks has the lock file only.
            if flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK { return file }
            try await Task.sleep(for: look)
        }
        if creating { close(file) }
        return nil
    }

    /// Whether a server runs on the store. Only where this process has not opened it.
    static func isServed(_ store: StorePath) -> Bool {
        isTaken(store.file) || isTaken(store.file + ".lock") || isTaken(store.given + ".lock")
    }

    /// Refuses a name of a store that a server runs on under another one: log and index would be others than its.
    static func refuseOtherName(_ store: StorePath) async throws {
        for _ in 0..<looks {
            guard isTaken(store.file) else { return }
            if isTaken(store.file + ".lock") { return }
            // The end of a process lets go of one lock after the other.
            try await Task.sleep(for: look)
        }
        throw Taken(description: "another reenvio serves \(store.file) under another name; use that one")
    }

    private static func isTaken(_ path: String) -> Bool {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        return flock(file, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
    }

    deinit {
        for file in files { close(file) }
    }
}
