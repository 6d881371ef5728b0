/// A request to send again. v2 calls it a job, v3 a log: one row, one engine, two faces.
package struct Resend: Equatable, Sendable {
    /// Product and dialect; each knows its statuses (`docs/contract.md` 5, the sibling for payins).
    package enum Kind: String, Sendable {
        case v2Payout = "v2-payout"
        /// One payout's latest notification (`docs/contract.md` 13.9); complete with the commit that enqueues it.
        case v2One = "v2-one"
        /// Events of QR codes, for one user (`docs/contract.md` 6).
        case v3CashIn = "v3-cashin"
        /// Events of payouts, for one user (`docs/contract.md` 6).
        case v3CashOut = "v3-cashout"
    }

    package enum State: String, Sendable {
        case processing
        /// Of v3: everything is enqueued, outcomes are awaited.
        case awaiting
        case completed, failed
    }

    package var id: Int64
    package var jobID: String
    package var merchantID: Int64
    package var accountID: Int64
    package var kind: Kind
    package var state: State
    package var window: ResendWindow
    package var total: Int64
    package var queued: Int64
    package var failed: Int64
    package var reason: String?
    package var requestedBy: String
    package var startedAt: Timestamp
    package var updatedAt: Timestamp
    package var endedAt: Timestamp?

    package init(
        id: Int64, jobID: String, merchantID: Int64, accountID: Int64, kind: Kind, state: State, window: ResendWindow,
        total: Int64, queued: Int64, failed: Int64, reason: String?, requestedBy: String, startedAt: Timestamp,
        updatedAt: Timestamp, endedAt: Timestamp?
    ) {
        self.id = id
        self.jobID = jobID
        self.merchantID = merchantID
        self.accountID = accountID
        self.kind = kind
        self.state = state
        self.window = window
        self.total = total
        self.queued = queued
        self.failed = failed
        self.reason = reason
        self.requestedBy = requestedBy
        self.startedAt = startedAt
        self.updatedAt = updatedAt
        self.endedAt = endedAt
    }

    /// Whether the status page still shows it: while it runs, and for 24 hours after its end (`docs/contract.md` 5).
    package func isShown(now: Timestamp) -> Bool {
        guard let endedAt else { return true }
        return now - endedAt < .seconds(Limits.resendShownSeconds)
    }

    /// 16 random bytes in lower-case hex.
    package static func newJobID(using generator: inout some RandomNumberGenerator) -> String {
        Hex.text((0..<16).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
}
