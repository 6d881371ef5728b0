/// A receiver that failed too often in a row: nothing goes to it but probes, until two in a row are acknowledged
/// (`docs/contract.md` 3.4). A value: the store keeps it, every node follows it.
package struct Breaker: Sendable, Equatable {
    /// Failures of a receiver in a row that open it; never fewer.
    package static let failuresToOpen = 10
    package static let acknowledgementsToClose = 2
    private static let firstWait: Duration = .seconds(5)
    private static let longestWait: Duration = .seconds(300)

    package var openedAt: Timestamp
    /// Probes that failed since it opened.
    package var failedProbes: Int
    /// Probes in a row that were acknowledged.
    package var acknowledgedProbes: Int
    /// No probe starts earlier. Engine time.
    package var nextProbe: Timestamp

    package init(openedAt: Timestamp, failedProbes: Int, acknowledgedProbes: Int, nextProbe: Timestamp) {
        self.openedAt = openedAt
        self.failedProbes = failedProbes
        self.acknowledgedProbes = acknowledgedProbes
        self.nextProbe = nextProbe
    }

    /// Open since `now`; the first probe may go 5 s later.
    package init(openedAt now: Timestamp) {
        self.init(openedAt: now, failedProbes: 0, acknowledgedProbes: 0, nextProbe: now + Self.firstWait)
    }

    /// What a probe's end makes of it; nil when it closes. Waits between probes double, 5 s, 10 s, ... 5 min; after an
    /// acknowledgement the next probe goes at once.
    package func after(probeAcknowledged: Bool, now: Timestamp) -> Breaker? {
        var next = self
        if probeAcknowledged {
            next.acknowledgedProbes += 1
            if next.acknowledgedProbes >= Self.acknowledgementsToClose { return nil }
            next.nextProbe = now
        } else {
            next.failedProbes += 1
            next.acknowledgedProbes = 0
            next.nextProbe = now + Self.wait(afterFailures: next.failedProbes)
        }
        return next
    }

    private static func wait(afterFailures failures: Int) -> Duration {
        min(longestWait, .microseconds(firstWait.microseconds << min(failures, 6)))
    }
}
