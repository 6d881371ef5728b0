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
        // perf records as long as the program that it runs, here until its input ends. A signal would not do: signals
        // may be blocked in what is started from here.
        let pipe = Pipe()
        let perf = try Child(
            "/usr/bin/perf", ["record", "-q", "-e", "cpu-clock", "-F", "997", "-g", "-p", "\(pid)", "-o", path, "cat"],
            input: pipe.fileHandleForReading
        )
        try await Task.sleep(for: .milliseconds(500))
        let result: Result<T, any Error>
        do {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
        try? pipe.fileHandleForWriting.close()
        await perf.end(within: .seconds(30))
        return try result.get()
    }
}
