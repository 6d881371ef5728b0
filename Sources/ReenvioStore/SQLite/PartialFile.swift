import Foundation

/// A file that is made under another name, `<target>.partial`, and gets its own when it is whole and on the disk. What
/// a killed run left under that name is replaced; what another run is writing is refused.
package final class PartialFile {
    package static func path(for target: String) -> String { target + ".partial" }

    /// Everything that an unfinished one may consist of.
    package static func files(for target: String) -> [String] {
        ([""] + StorePath.companions).map { path(for: target) + $0 }
    }

    package let path: String
    private let target: String
    /// Holds the lock that marks the file as being written. Closing it drops the locks that SQLite has on the file.
    private var file: Int32
    private var isPlaced = false

    package init(for target: String) throws {
        self.target = target
        path = Self.path(for: target)
        file = try Self.claim(path)
        Self.removeCompanions(of: path)
    }

    private static func claim(_ path: String) throws -> Int32 {
        while true {
            let file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard file >= 0 else { throw FileSteps.failure(errno, path, "cannot be created") }
            guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
                close(file)
                throw SQLiteBackup.Refused(description: "\(path) is being written by another reenvio")
            }
            // Its last owner may have removed or renamed it between the two calls.
            var opened = stat()
            var named = stat()
            if fstat(file, &opened) == 0, lstat(path, &named) == 0, opened.st_ino == named.st_ino {
                // A second name means that it stands in its place already: only this name is taken away.
                if opened.st_nlink == 1 {
                    guard ftruncate(file, 0) == 0 else {
                        let code = errno
                        close(file)
                        throw FileSteps.failure(code, path, "cannot be written")
                    }
                    return file
                }
                unlink(path)
            }
            close(file)
        }
    }

    private static func removeCompanions(of path: String) {
        for suffix in StorePath.companions { unlink(path + suffix) }
    }

    /// After `link` and before `unlink` a file has both names; a kill there leaves it so.
    static func removeSecondName(of file: String, _ about: stat) -> Bool {
        var other = stat()
        guard about.st_nlink == 2, lstat(path(for: file), &other) == 0, other.st_ino == about.st_ino,
            other.st_dev == about.st_dev
        else { return false }
        return unlink(path(for: file)) == 0
    }

    /// Syncs the file, gives it its name without replacing anything, and syncs the folder.
    package func place() throws {
        try FileSteps.sync(path)
        Self.removeCompanions(of: path)
        try FileSteps.renameNew(path, to: target)
        isPlaced = true
        do {
            try FileSteps.sync(FileSteps.folder(of: target))
        } catch {
            takeBack()
            throw error
        }
    }

    /// Takes away again what `place` put there.
    package func takeBack() {
        guard isPlaced else { return }
        isPlaced = false
        try? FileSteps.renameNew(target, to: path)
    }

    /// Lets go of the lock; once the file is in its place, before others use it.
    package func release() {
        if file >= 0 { close(file) }
        file = -1
    }

    /// Removes the file, unless it is in its place.
    package func discard() {
        if !isPlaced {
            Self.removeCompanions(of: path)
            unlink(path)
        }
        release()
    }

    deinit {
        if file >= 0 { close(file) }
    }
}
