/// A receiver whose machine failed too often in a row: nothing goes to it but probes, until two of them are
/// acknowledged (`docs/contract.md` 3.4). A value: the store keeps it, every node follows it.
package struct Breaker: Sendable, Equatable {
    package static let acknowledgementsToClose = 2
    private static let firstWait: Duration = .seconds(5)
    private static let longestWait: Duration = .seconds(300)
    /// A live delivery that arrives is a probe by itself, this long after the last one.
    package static let arrivalWait: Duration = .seconds(1)
    /// Probes are made without a break while none is further from the one before than this: the longest wait, a lease,
    /// and what a busy node may be late.
    package static let longestGap: Duration = longestWait + .seconds(Limits.leaseSeconds) + .seconds(270)

    /// What made a probe go out.
    package enum Occasion: Sendable, Equatable {
        /// The wait after the last scheduled probe is over.
        case schedule
        /// A live delivery arrived, or one waits at a URL that has not failed.
        case arrival
    }

    /// Engine times, all of them.
    package var openedAt: Timestamp
    /// Scheduled probes that failed since it opened.
    package var failedProbes: Int
    /// Probes that were acknowledged, without a failure that counts against them.
    package var acknowledgedProbes: Int
    /// No scheduled probe starts earlier.
    package var nextProbe: Timestamp
    /// The receiver asked to be left alone until then (`Retry-After`): no probe at all starts earlier.
    package var heldUntil: Timestamp?
    /// When the last probe started.
    package var probedAt: Timestamp?
    /// Since when probes were made without a break: what this node's own absence deferred is not given up.
    package var probingSince: Timestamp
    /// Fingerprints of the URL that failed last, and of the one that was acknowledged last (`ReceiverURL.fingerprint`).
    package var failedURL: Int64?
    package var wellURL: Int64?

    /// Open since `now`; the first scheduled probe may go 5 s later.
    package init(openedAt now: Timestamp, failedURL: Int64? = nil) {
        openedAt = now
        failedProbes = 0
        acknowledgedProbes = 0
        nextProbe = now + Self.firstWait
        probingSince = now
        self.failedURL = failedURL
    }

    package init(
        openedAt: Timestamp, failedProbes: Int, acknowledgedProbes: Int, nextProbe: Timestamp, heldUntil: Timestamp?,
        probedAt: Timestamp?, probingSince: Timestamp, failedURL: Int64?, wellURL: Int64?
    ) {
        self.openedAt = openedAt
        self.failedProbes = failedProbes
        self.acknowledgedProbes = acknowledgedProbes
        self.nextProbe = nextProbe
        self.heldUntil = heldUntil
        self.probedAt = probedAt
        self.probingSince = probingSince
        self.failedURL = failedURL
        self.wellURL = wellURL
    }

    /// When a live delivery that arrives now may be a probe.
    package var nextArrivalProbe: Timestamp { max((probedAt ?? openedAt) + Self.arrivalWait, heldUntil ?? openedAt) }

    /// Notes that a probe starts now; its result is expected before `leaseUntil`, when the next scheduled one may go.
    package mutating func probe(_ occasion: Occasion, at now: Timestamp, leaseUntil: Timestamp) {
        // A receiver that asks for an hour makes no break.
        if now - max(probedAt ?? openedAt, heldUntil ?? openedAt) > Self.longestGap { probingSince = now }
        probedAt = now
        if occasion == .schedule { nextProbe = leaseUntil }
    }

    /// What the end of a probe makes of it; nil when it closes. Waits between scheduled probes double, 5 s, 10 s, ...
    /// 5 min. After an answer of a machine that is well, the next one goes at once; only acknowledgements close.
    /// - Parameters:
    ///   - url: the fingerprint of the URL that was probed.
    ///   - isProven: the receiver acknowledged something within the last minute; a failure at one of its URLs does not
    ///     take that back.
    package func after(
        _ signal: AttemptOutcome.Signal, of occasion: Occasion, url: Int64?, isProven: Bool, now: Timestamp
    ) -> Breaker? {
        var next = self
        switch signal {
        case .acknowledged:
            next.acknowledgedProbes += 1
            next.wellURL = url
            if next.acknowledgedProbes >= Self.acknowledgementsToClose { return nil }
            next.nextProbe = now
        case .message:
            next.nextProbe = now
        case .machine:
            next.failedURL = url
            if !isProven { next.acknowledgedProbes = 0 }
            if occasion == .schedule {
                next.failedProbes += 1
                next.nextProbe = now + Self.wait(afterFailures: next.failedProbes)
            }
        }
        return next
    }

    private static func wait(afterFailures failures: Int) -> Duration {
        min(longestWait, .microseconds(firstWait.microseconds << min(failures, 6)))
    }
}

// MARK: - What to probe with

extension Breaker {
    /// A due delivery that may be a probe.
    package struct Candidate: Sendable, Equatable {
        package var id: Int64
        package var lane: Lane
        /// Engine time.
        package var due: Timestamp
        package var url: Int64

        package init(id: Int64, lane: Lane, due: Timestamp, url: Int64) {
            self.id = id
            self.lane = lane
            self.due = due
            self.url = url
        }
    }

    /// URLs probed at once when live deliveries wait for several.
    package static let probesAtOnce = 8

    /// The delivery for a scheduled probe: at another URL than failed last, or after an acknowledgement at the URL that
    /// gave it; then live before retry before resend, and what has been due for longest.
    package func scheduledProbe(among candidates: [Candidate]) -> Candidate? {
        candidates.min { rank($0) < rank($1) }
    }

    private func rank(_ candidate: Candidate) -> (Int, Int, Timestamp, Int64) {
        let isUnlikely = acknowledgedProbes > 0 ? candidate.url != wellURL : candidate.url == failedURL
        return (isUnlikely ? 1 : 0, candidate.lane.rawValue, candidate.due, candidate.id)
    }

    /// What is probed with now, and why: the live deliveries that arrived, where they need not wait any more or one
    /// goes by schedule, which would make them wait again; and that one, unless its URL is among theirs.
    package func probes(among candidates: [Candidate], at now: Timestamp) -> [(Candidate, Occasion)] {
        var chosen: [(Candidate, Occasion)] =
            min(nextArrivalProbe, nextProbe) <= now ? arrivalProbes(among: candidates).map { ($0, .arrival) } : []
        guard nextProbe <= now, let next = scheduledProbe(among: candidates) else { return chosen }
        if let place = chosen.firstIndex(where: { $0.0.url == next.url }) {
            chosen[place].1 = .schedule
        } else {
            chosen.insert((next, .schedule), at: 0)
        }
        return chosen
    }

    /// The live deliveries that are probes before their schedule: of each URL the one that arrived last, unless that
    /// URL failed after its arrival.
    package func arrivalProbes(among candidates: [Candidate]) -> [Candidate] {
        let tried = probedAt ?? openedAt
        var seen: Set<Int64> = []
        let newestFirst = candidates.filter { $0.lane == .live }.sorted { ($1.due, $1.id) < ($0.due, $0.id) }
        return Array(
            newestFirst.filter { ($0.url != failedURL || $0.due >= tried) && seen.insert($0.url).inserted }
                .prefix(Self.probesAtOnce))
    }
}
