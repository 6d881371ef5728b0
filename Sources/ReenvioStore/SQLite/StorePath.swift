import Foundation
package import ReenvioModel

/// Where a SQLite store lies. SQLite names the log and the shared index after the path of the database file, so a
/// store is safe only where each process uses the same path for the same file.
package struct StorePath: Sendable, Equatable {
    /// The database file itself: symbolic links in its name are followed.
    package let file: String
    /// The path as it was given.
    package let given: String

    /// What SQLite puts beside a database file.
    package static let companions = ["-wal", "-shm", "-journal"]
    private static let linksFollowed = 40

    package init(_ given: String) {
        self.given = given
        file = Self.followed(given)
    }

    /// Follows the last part only: a link among the folders leads the log to the same place by itself.
    private static func followed(_ path: String) -> String {
        var path = path
        for _ in 0..<linksFollowed {
            guard let target = try? FileManager.default.destinationOfSymbolicLink(atPath: path) else { return path }
            path = target.hasPrefix("/") ? target : FileSteps.folder(of: path) + "/" + target
        }
        return path
    }

    package var exists: Bool { FileSteps.exists(file) }

    /// The log, index and journal that lie beside the file, whether or not the file is there.
    package var companions: [String] {
        Self.companions.map { file + $0 }.filter(FileSteps.exists)
    }

    /// Refuses a file with several names: processes that use different ones would keep different logs for it.
    package func refuseSecondName() throws {
        var about = stat()
        guard lstat(file, &about) == 0, about.st_mode & S_IFMT == S_IFREG, about.st_nlink > 1 else { return }
        // A kill between the two steps of `PartialFile.place`.
        if PartialFile.removeSecondName(of: file, about) { return }
        throw StoreError.unavailable(
            "\(file) has \(about.st_nlink) names (hard links), and SQLite would keep a log for each of them; "
                + "remove all names but one")
    }

    /// Refuses to make a store beside the log of a lost one: SQLite would delete the log, which may hold changes that
    /// nothing else has.
    package func refuseLogWithoutDatabase() throws {
        guard FileSteps.size(file) ?? 0 == 0, let bytes = FileSteps.size(file + "-wal"), bytes > 0 else { return }
        throw StoreError.unavailable(
            "there is no \(file), but its log \(file)-wal is there; put the file back, or move the log away first")
    }

    /// Renames the file and what lies beside it to `<file>.left-<time>`, so that they are one store under that name.
    /// - Returns: what was renamed, for `putBack`.
    /// - Throws: `StoreError.unavailable`; nothing is renamed then.
    package func setAside(at now: Timestamp) throws -> [(from: String, to: String)] {
        let time = TimeText.zulu(now).filter { $0 != "-" && $0 != ":" }
        let base = "\(file).left-\(time)"
        var moved: [(from: String, to: String)] = []
        do {
            for suffix in [""] + Self.companions where FileSteps.exists(file + suffix) {
                try FileSteps.renameNew(file + suffix, to: base + suffix)
                moved.append((file + suffix, base + suffix))
            }
            if !moved.isEmpty { try FileSteps.sync(FileSteps.folder(of: file)) }
        } catch {
            Self.putBack(moved)
            throw error
        }
        return moved
    }

    package static func putBack(_ moved: [(from: String, to: String)]) {
        for one in moved.reversed() { try? FileSteps.renameNew(one.to, to: one.from) }
    }
}
