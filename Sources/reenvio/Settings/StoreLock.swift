import Foundation

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

/// Held by a running server: two on one SQLite file are refused. The kernel lets go of it when the process ends,
/// however it ends.
final class StoreLock {
    struct Taken: Error, CustomStringConvertible {
        var description: String
    }

    private let file: Int32

    init(storePath: String) throws {
        let path = storePath + ".lock"
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Taken(description: "the lock file \(path) cannot be opened") }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            throw Taken(description: "another reenvio serves \(storePath) already")
        }
    }

    deinit {
        close(file)
    }
}
