package import Metrics
package import ReenvioStore

/// A store engine that says how long each call took, its wait for a connection or for the writer included.
package final class MeteredEngine: StoreEngine {
    private let base: any StoreEngine
    private let reads: Timer
    private let lookups: Timer
    private let writes: [WritePriority: Timer]

    package init(_ base: any StoreEngine, _ factory: any MetricsFactory) {
        func timer(_ operation: String) -> Timer {
            Timer(
                label: MetricFamily.storeSeconds.rawValue, dimensions: [("operation", operation)], factory: factory)
        }
        self.base = base
        reads = timer(MetricFamily.readOperation)
        lookups = timer(MetricFamily.lookupOperation)
        writes = Dictionary(uniqueKeysWithValues: WritePriority.allCases.map { ($0, timer($0.operation)) })
    }

    package func read<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        let began = ContinuousClock.now
        defer { reads.recordNanoseconds((ContinuousClock.now - began).nanoseconds) }
        return try await base.read(body)
    }

    package func lookup<T: Sendable>(_ body: @escaping @Sendable (any SQLConnection) throws -> T) async throws -> T {
        let began = ContinuousClock.now
        defer { lookups.recordNanoseconds((ContinuousClock.now - began).nanoseconds) }
        return try await base.lookup(body)
    }

    package func write<T: Sendable>(
        _ priority: WritePriority, _ body: @escaping @Sendable (any SQLConnection) throws -> T
    ) async throws -> T {
        let began = ContinuousClock.now
        defer { writes[priority]?.recordNanoseconds((ContinuousClock.now - began).nanoseconds) }
        return try await base.write(priority, body)
    }

    package var sharing: (any StoreSharing)? { base.sharing }
    package var files: (any StoreFiles)? { base.files }

    package var idRepairs: Int { base.idRepairs }
    package var patience: Duration? { base.patience }
    package var dropped: Int { base.dropped }

    package func close() throws {
        try base.close()
    }
}
