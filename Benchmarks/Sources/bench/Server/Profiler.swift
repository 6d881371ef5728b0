import Foundation

/// `perf record` on the server while the clock runs, where it is asked for.
struct Profiler: Sendable {
    /// Where the samples go; nil for no profile.
    var path: String?

    func during<T>(_ pid: pid_t, _ body: () async throws -> T) async throws -> T {
        guard let path else { return try await body() }
        let options = ["record", "-q", "-e", "cpu-clock", "-F", "997", "-g", "-p", "\(pid)", "-o", path]
        let perf = try Child("/usr/bin/perf", options)
        try await Task.sleep(for: .milliseconds(500))
        do {
            let result = try await body()
            await perf.stop(SIGINT)
            return result
        } catch {
            await perf.stop(SIGINT)
            throw error
        }
    }
}
