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

    func close() throws
}

extension StoreEngine {
    package func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        try await read(body)
    }
}
