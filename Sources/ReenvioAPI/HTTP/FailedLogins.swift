package import Logging
package import ReenvioEngine
package import ReenvioModel
import Synchronization

/// A credential that did not verify: what the request is answered, and what is counted for it.
package struct RefusedCredential: Error {
    package var problem: Problem
    package var reason: FailedAuthentication
    /// A digest of what was shown, which says nothing of it.
    package var digest: UInt64
    /// The id of a key that is known, for the log.
    package var keyID: String?

    package init(
        _ problem: Problem = .unauthorized, _ reason: FailedAuthentication = .unknown, shown: String,
        keyID: String? = nil
    ) {
        self.problem = problem
        self.reason = reason
        self.keyID = keyID
        digest = FailedAuthentication.digest(of: shown)
    }
}

/// Counts failed authentications (`docs/contract.md` 4.4): after the 21st within 60 s by one credential from one
/// address, or by different credentials from one address, what fails there is 429 instead of 401. A credential that
/// verifies bypasses this throttle, so a broken program blocks no valid client at its address.
/// `REENVIO_RATE_LIMITS=off` does not disable it.
package final class FailedLogins: Sendable {
    private static let allowed = 20
    private static let within: Duration = .seconds(60)
    private static let sourcesMax = 10_000
    private static let reportEvery: Duration = .seconds(60)

    /// Without a credential: all of an address, each counted once.
    private struct Source: Hashable {
        var address: IPAddress?
        var digest: UInt64?
    }

    /// What has happened since the last line of the log.
    private struct Report {
        var writtenAt: Timestamp?
        var failed = 0
        var throttled = 0
    }

    private struct State {
        var failures: [Source: [Timestamp]] = [:]
        var report = Report()
    }

    private let state = Mutex(State())
    private let counters: FailedAuthenticationCounters

    package init(_ counters: FailedAuthenticationCounters) {
        self.counters = counters
    }

    /// Counts a failure.
    /// - Returns: what it is answered: its own problem, or 429 with `Retry-After`.
    package func answer(
        _ refused: RefusedCredential, from address: IPAddress?, requestID: String, now: Timestamp, logger: Logger
    ) -> Problem {
        let (wait, report) = state.withLock { state in
            let wait = refused.reason == .expired ? nil : Self.count(refused, address, now, in: &state.failures)
            return (wait, Self.report(wait != nil, now, in: &state.report))
        }
        counters.count(wait == nil ? refused.reason : .throttled)
        if let report {
            var metadata: Logger.Metadata = [
                "count": "\(report.failed)", "throttled": "\(report.throttled)", "request": "\(requestID)",
                "reason": "\(refused.reason.rawValue)",
            ]
            metadata["address"] = address.map { "\($0)" }
            metadata["key"] = refused.keyID.map { "\($0)" }
            logger.notice("authentications failed", metadata: metadata)
        }
        return wait.map { .tooManyRequests(retryAfterSeconds: $0) } ?? refused.problem
    }

    /// How long such failures are still refused; nil where this one is not.
    private static func count(
        _ refused: RefusedCredential, _ address: IPAddress?, _ now: Timestamp, in failures: inout [Source: [Timestamp]]
    ) -> Int64? {
        let own = Source(address: address, digest: refused.digest)
        let all = Source(address: address)
        let isKnown = forget(own, now, in: &failures)
        _ = forget(all, now, in: &failures)
        if let wait = [own, all].compactMap({ wait(failures[$0], now) }).max() { return wait }
        note(own, now, in: &failures)
        if refused.reason == .unknown, !isKnown { note(all, now, in: &failures) }
        return nil
    }

    /// Drops what is too old; returns whether something is left.
    private static func forget(_ source: Source, _ now: Timestamp, in failures: inout [Source: [Timestamp]]) -> Bool {
        guard let times = failures[source] else { return false }
        let recent = times.filter { now - $0 < within }
        failures[source] = recent.isEmpty ? nil : recent
        return !recent.isEmpty
    }

    /// Refused until the failure before the last twenty is older than a minute.
    private static func wait(_ times: [Timestamp]?, _ now: Timestamp) -> Int64? {
        guard let times, times.count > allowed, let oldest = times.suffix(allowed + 1).first else { return nil }
        return max(1, (within - (now - oldest)).microseconds / 1_000_000 + 1)
    }

    private static func note(_ source: Source, _ now: Timestamp, in failures: inout [Source: [Timestamp]]) {
        if failures.count >= sourcesMax { failures = failures.filter { now - ($0.value.last ?? now) < within } }
        // A flood of addresses must not grow memory: then only those already known are counted.
        if failures.count >= sourcesMax, failures[source] == nil { return }
        failures[source, default: []].append(now)
        if failures[source, default: []].count > allowed + 1 { failures[source]?.removeFirst() }
    }

    /// The figures of a line that is written now: one at the first failure, then one a minute at most.
    private static func report(_ isThrottled: Bool, _ now: Timestamp, in report: inout Report) -> Report? {
        report.failed += 1
        if isThrottled { report.throttled += 1 }
        if let last = report.writtenAt, now - last < reportEvery { return nil }
        defer { report = Report(writtenAt: now) }
        return report
    }
}
