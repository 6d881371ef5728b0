/// What can go wrong in the store, as far as anybody outside it needs to tell.
package enum StoreError: Error, Equatable, Sendable {
    /// The file or server cannot be read or written now: locked, full, gone, read-only. Trying again may help.
    case unavailable(String)
    /// Somebody else has locked what it needs, for longer than it waits. Others may not need it.
    case locked(String)
    /// The file is a database, but not one of ours.
    case notOurs(String)
    /// The store was written by a newer binary: its version, and the newest this one knows.
    case newer(found: Int64, known: Int64)
    /// A statement failed for a reason that is a bug or damage, with the engine's words.
    case failed(String)
}

extension StoreError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unavailable(let why): "the store cannot be used now: \(why)"
        case .locked(let why): "what it needs in the store is locked: \(why)"
        case .notOurs(let path): "\(path) is a database, but not a store of reenvio"
        case .newer(let found, let known):
            "the store has version \(found), newer than this binary, which knows \(known)"
        case .failed(let why): "the store failed: \(why)"
        }
    }
}
