package import ReenvioModel

/// Bounds for the length of a SQLite log (WAL). The log grows while a reader keeps an old snapshot open: SQLite
/// restarts it only when no reader needs its contents.
package struct LogBounds: Sendable {
    /// What a server does about a write.
    package enum Admission: Sendable, Equatable {
        case now
        /// Waits until the log is shorter.
        case later
        case refused
    }

    /// Bytes of the file that stay after it was begun anew.
    package var kept: Int64
    /// From here on a log that can be given back is.
    package var givenBack: Int64
    /// From here on, and at each doubling, it is worth a line in the log of the server.
    package var warned: Int64
    /// From here on what can wait does: chunks of resends, the janitor, imports.
    package var pausing: Int64
    /// From here on nothing new is taken in.
    package var refusing: Int64

    package init(kept: Int64, givenBack: Int64, warned: Int64, pausing: Int64, refusing: Int64) {
        self.kept = kept
        self.givenBack = givenBack
        self.warned = warned
        self.pausing = pausing
        self.refusing = refusing
    }

    package static let standard = LogBounds(
        kept: Limits.logBytesKept, givenBack: Limits.logBytesGivenBack, warned: Limits.logBytesWarned,
        pausing: Limits.logBytesPausing, refusing: Limits.logBytesRefusing)

    /// Results of attempts and claims always go on: they are of what was taken in before.
    package func admission(_ priority: WritePriority, logBytes: Int64) -> Admission {
        switch priority {
        case .changes, .intake: logBytes >= refusing ? .refused : .now
        case .outcomes, .claims: .now
        case .chunks, .janitor, .bulk: logBytes >= pausing ? .later : .now
        }
    }

    /// The next length that is worth a line, above one that was said; nil for none yet.
    package func warning(logBytes: Int64, said: Int64?) -> Int64? {
        var bound = warned
        while bound <= Int64.max / 2, bound * 2 <= logBytes { bound *= 2 }
        guard logBytes >= bound, bound > said ?? 0 else { return nil }
        return bound
    }
}
