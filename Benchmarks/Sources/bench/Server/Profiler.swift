import Foundation

/// `perf record` on the server while the clock runs, where it is asked for.
struct Profiler: Sendable {
    /// Where the samples go; nil for no profile.
    var path: String?

    /// A file of its own for one of several parts.
    func part(_ name: String) -> Profiler {
        Profiler(path: path.map { "\($0).\(name)" })
    }

    func during<T>(_ pid: pid_t, _ body: () async throws -> T) async throws -> T {
        guard let path else { return try await body() }
        let perf = try Child(
            "/usr/bin/perf",
            ["record", "-q", "-e", "cpu-clock", "-F", "499", "--call-graph", "dwarf", "-p", "\(pid)", "-o", path]
        )
        try await Task.sleep(for: .milliseconds(500))
        let result: Result<T, any Error>
        do {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        await perf.stop(SIGINT, patience: .seconds(60))
        return try result.get()
    }
}
