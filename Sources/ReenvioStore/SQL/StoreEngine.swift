/// A database that runs closures: many readers, each in one snapshot, and writers in transactions. A closure never
/// awaits (`docs/architecture.md`, rule 6).
package protocol StoreEngine: Sendable {
    func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T

    /// The same for one statement that finds a few rows by their key: an engine inside the process reads them where it
    /// was called, because waking another thread costs more than reading.
    func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T

    /// One transaction; committed durably before it returns, rolled back when `body` throws. `body` may run again
    /// where the engine had to give up a transaction for another one.
    func write<T: Sendable>(
        _ priority: WritePriority, _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T

    /// What nodes on one store have for one another; nil where there is one node.
    var sharing: (any StoreSharing)? { get }

    /// The files of an engine that has them on this machine; nil for others.
    var files: (any StoreFiles)? { get }

    /// Times so far that a drawn id was stored already, so that the sequences were moved and the transaction run again.
    var idRepairs: Int { get }

    /// How long a call is waited for; nil where nothing but this machine is between it and its answer.
    var patience: Duration? { get }

    /// Calls so far that were refused without having begun, because too many waited or one for too long.
    var dropped: Int { get }

    func close() throws
}

/// What stands on the disk for an engine inside the process, as it is looked after once a second.
package protocol StoreFiles: Sendable {
    /// Bytes of the log of what was committed and is not all in its place yet, as of the last look.
    var logBytes: Int64 { get }

    var bounds: LogBounds { get }

    /// What happened to the files where they are not those that were opened; nothing is written any more then.
    var loss: String? { get }

    /// Looks at the files, saves what can be saved where they are not those that were opened, and shortens a log that
    /// is long and has no reader.
    func tend() async
}

/// How nodes on one store wake one another. Hints only: whoever waits also looks by itself, once a second.
package protocol StoreSharing: Sendable {
    /// Tells the other nodes that there is work. Not each call is passed on where they follow closely.
    func announce()

    /// Calls `ring` whenever another node, or this one, announced work, until the listening is stopped.
    /// - Throws: where this machine has no thread or descriptor for it now.
    func listen(_ ring: @escaping @Sendable () -> Void) throws -> any StoreListening

    /// What became known of the servers that the store may be on.
    var serverNews: ServerNews { get }
}

package protocol StoreListening: Sendable {
    func stop()
}

extension StoreEngine {
    package var sharing: (any StoreSharing)? { nil }
    package var files: (any StoreFiles)? { nil }

    package var idRepairs: Int { 0 }
    package var patience: Duration? { nil }
    package var dropped: Int { 0 }

    package func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await read(body)
    }
}
