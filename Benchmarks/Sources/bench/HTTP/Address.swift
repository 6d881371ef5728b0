/// Where a server listens.
struct Address: Sendable, CustomStringConvertible {
    var host: String
    var port: Int

    var description: String { "\(host):\(port)" }
}

/// What went wrong, for people.
struct Failure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Asks again and again until there is an answer; every wait of the benchmarks is bounded.
func eventually<T>(
    _ what: String, within limit: Duration, every pause: Duration = .milliseconds(5),
    _ attempt: () async throws -> T?
) async throws -> T {
    let end = ContinuousClock.now + limit
    while true {
        if let value = try await attempt() { return value }
        guard ContinuousClock.now < end else { throw Failure("gave up after \(limit): waiting for \(what)") }
        try await Task.sleep(for: pause)
    }
}
