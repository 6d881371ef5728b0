import Foundation

/// Steps on files that must not overwrite, and must be on the disk before the next one.
package enum FileSteps {
    package static func folder(of path: String) -> String {
        let folder = (path as NSString).deletingLastPathComponent
        return folder.isEmpty ? "." : folder
    }

    /// Also true for a symbolic link that leads nowhere.
    package static func exists(_ path: String) -> Bool {
        var about = stat()
        return lstat(path, &about) == 0
    }

    /// Who owns a file, and which rights others than its owner have (`0o077` of its mode); nil where there is none.
    package static func access(_ path: String) -> (owner: UInt32, others: UInt32)? {
        var found = stat()
        guard stat(path, &found) == 0 else { return nil }
        return (found.st_uid, found.st_mode & 0o077)
    }

    /// Changes when another file gets the name, or what is in it changes; empty where there is none.
    package static func mark(_ path: String) -> String {
        var found = stat()
        guard stat(path, &found) == 0 else { return "" }
        return "\(found.st_ino) \(found.st_size) \(found.st_mtim.tv_sec).\(found.st_mtim.tv_nsec)"
    }

    /// Nil where there is nothing of that name.
    package static func size(_ path: String) -> Int64? {
        var about = stat()
        return stat(path, &about) == 0 ? Int64(about.st_size) : nil
    }

    /// Bytes that the disk below a path still takes; nil where that is not known.
    package static func free(below path: String) -> Int64? {
        var about = statvfs()
        guard statvfs(path, &about) == 0 else { return nil }
        return Int64(clamping: UInt64(about.f_bavail) &* UInt64(about.f_frsize))
    }

    /// Writes a file or folder through to the disk.
    package static func sync(_ path: String) throws {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure(errno, path, "cannot be opened") }
        defer { close(file) }
        guard fsync(file) == 0 else { throw failure(errno, path, "cannot be written to the disk") }
    }

    /// Gives a file another name without ever replacing one: `link`, then `unlink`.
    /// - Throws: `SQLiteBackup.Refused` where that name is taken.
    package static func renameNew(_ from: String, to: String) throws {
        if link(from, to) == 0 {
            guard unlink(from) == 0 else {
                let code = errno
                unlink(to)
                throw failure(code, from, "cannot be renamed")
            }
            return
        }
        switch errno {
        case EEXIST: throw SQLiteBackup.Refused(description: "\(to) exists already")
        // Some file systems have no hard links.
        case EPERM, EOPNOTSUPP, ENOSYS, EMLINK:
            guard !exists(to) else { throw SQLiteBackup.Refused(description: "\(to) exists already") }
            guard rename(from, to) == 0 else { throw failure(errno, to, "cannot be written") }
        case let code: throw failure(code, to, "cannot be written")
        }
    }

    /// What went wrong with a file, in words for people; a full disk is called that.
    package static func failure(_ code: Int32, _ path: String, _ words: String) -> StoreError {
        switch code {
        case ENOSPC, EDQUOT: .unavailable("the disk is full (\(path))")
        default: .unavailable("\(path) \(words): \(String(cString: strerror(code)))")
        }
    }
}
