package import Metrics
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// What the engine counts, through swift-metrics. Written once for each commit, over all of its records, after it: no
/// attempt pays for more than a few additions, and what a failed commit did not store is not counted twice.
package struct EngineMetrics: Sendable {
    /// Status changes that were applied.
    let changes: Counter
    /// Whatever may have reached a receiver twice. The wire adds the requests that it sent again on a new connection.
    package let possibleDuplicates: Counter
    /// Attempts that this machine could not make; counted by the wire.
    package let senderShortages: [SenderShortage: Counter]
    /// How often the server stopped accepting connections for a moment.
    package let acceptPauses: Counter
    let peopleRead: Counter
    let failedAuthentications: FailedAuthenticationCounters
    /// Calls that were refused without having begun, beside those of the store.
    let droppedCalls = DroppedCalls()
    /// What was accepted and attempted by minute, for the dashboard.
    package let pulse = Pulse()
    private let acknowledged: Counter
    private let failed: [AttemptFailure: Counter]
    private let ackSeconds: Timer
    private let attemptSeconds: Timer

    package init(_ factory: any MetricsFactory) {
        func attempts(_ reason: String) -> Counter {
            Counter(label: MetricFamily.attempts.rawValue, dimensions: [("reason", reason)], factory: factory)
        }
        changes = Counter(label: MetricFamily.changes.rawValue, factory: factory)
        peopleRead = Counter(label: MetricFamily.peopleRead.rawValue, factory: factory)
        failedAuthentications = FailedAuthenticationCounters(factory)
        acceptPauses = Counter(label: MetricFamily.acceptPauses.rawValue, factory: factory)
        possibleDuplicates = Counter(label: MetricFamily.possibleDuplicates.rawValue, factory: factory)
        senderShortages = Dictionary(
            uniqueKeysWithValues: SenderShortage.allCases.map { shortage in
                let resource = [("resource", shortage.rawValue)]
                return (
                    shortage,
                    Counter(label: MetricFamily.senderShortages.rawValue, dimensions: resource, factory: factory)
                )
            })
        acknowledged = attempts(MetricFamily.acknowledged)
        failed = Dictionary(uniqueKeysWithValues: AttemptFailure.allCases.map { ($0, attempts($0.rawValue)) })
        ackSeconds = Timer(label: MetricFamily.ackSeconds.rawValue, factory: factory)
        attemptSeconds = Timer(label: MetricFamily.attemptSeconds.rawValue, factory: factory)
    }

    /// Takes in what a commit recorded and claimed. A late result, and the claim of a delivery whose last claim ended
    /// without a result, are possible duplicates: the earlier attempt may have reached the receiver.
    func note(_ records: [AttemptRecord], _ recorded: RecordResult, _ claimed: ClaimResult, at now: Timestamp) {
        let doubtful = recorded.late + claimed.abandoned
        if doubtful > 0 { possibleDuplicates.increment(by: doubtful) }
        var acknowledgements = 0
        var failures: [AttemptFailure: Int] = [:]
        var attempts: [Pulse.Attempt] = []
        for record in records {
            guard let outcome = record.outcome else { continue }
            attemptSeconds.recordNanoseconds(record.duration.nanoseconds)
            attempts.append(
                Pulse.Attempt(
                    merchantID: record.claimed.merchantID, receiverID: record.claimed.queue.receiverID,
                    isAcknowledged: outcome.reason == nil))
            if let reason = outcome.reason {
                failures[reason, default: 0] += 1
            } else {
                acknowledgements += 1
                if record.claimed.resendID == nil {
                    let took = record.startedAt + record.duration - record.claimed.createdAt
                    ackSeconds.recordNanoseconds(took.nanoseconds)
                }
            }
        }
        pulse.note(attempts, at: now)
        if acknowledgements > 0 { acknowledged.increment(by: acknowledgements) }
        for (reason, count) in failures { failed[reason]?.increment(by: count) }
    }
}

/// What the API counts of credentials that it refuses.
package struct FailedAuthenticationCounters: Sendable {
    private let counters: [FailedAuthentication: Counter]

    package init(_ factory: any MetricsFactory) {
        counters = Dictionary(
            uniqueKeysWithValues: FailedAuthentication.allCases.map { reason in
                let label = MetricFamily.failedAuthentications.rawValue
                return (reason, Counter(label: label, dimensions: [("reason", reason.rawValue)], factory: factory))
            })
    }

    package func count(_ reason: FailedAuthentication) {
        counters[reason]?.increment()
    }
}

package final class DroppedCalls: Sendable {
    private let counted = Atomic<Int>(0)

    var count: Int { counted.load(ordering: .relaxed) }

    func add(_ more: Int) {
        counted.add(more, ordering: .relaxed)
    }
}

extension Duration {
    /// Saturating: a wall clock may be far off.
    var nanoseconds: Int64 {
        let (high, overflow) = components.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, tooFar) = high.addingReportingOverflow(components.attoseconds / 1_000_000_000)
        return overflow || tooFar ? (components.seconds < 0 ? .min : .max) : sum
    }
}
