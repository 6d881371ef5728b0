import Foundation

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
