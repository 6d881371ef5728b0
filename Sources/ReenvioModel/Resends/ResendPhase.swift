/// How far a resend is, or how it ended, in one word (`docs/contract.md` 13.1): the word that people read on pages, in
/// tables of the CLI and with `include=outcome`, of a v2 job and of a v3 log. The published `status` is another matter:
/// it speaks of enqueueing in v2.
package enum ResendPhase: String, Sendable, CaseIterable {
    /// Items are being enqueued.
    case processing
    /// Every item is enqueued, and some await their outcome.
    case delivering
    /// Nothing is left, and everything that was sent was acknowledged.
    case delivered
    case partlyDelivered = "partly_delivered"
    /// Nothing was acknowledged.
    case undelivered
    /// Nothing had to be sent: everything was acknowledged meanwhile (`docs/contract.md` 13.5).
    case skipped
    /// It matched nothing.
    case empty
    case canceled
    /// It ended before everything was enqueued.
    case failed

    package init(
        kind: Resend.Kind, state: Resend.State, isCanceled: Bool, total: Int64, failed: Int64, _ outcome: ResendOutcome
    ) {
        let isLog = kind.category != nil
        switch state {
        case _ where isCanceled: self = .canceled
        case .processing: self = .processing
        case .awaiting: self = .delivering
        // A log fails by its outcome, too (`docs/contract.md` 6.4).
        case .failed where !isLog || total == 0 || outcome.pending > 0: self = .failed
        // What a failed log passed over, as of a registration that was deleted, is missing.
        case .failed: self = Self(ended: outcome, total: total, missing: failed + outcome.skipped)
        case .completed: self = Self(ended: outcome, total: total, missing: failed)
        }
    }

    /// Of a batch, by the sums of its jobs (`docs/contract.md` 13.17).
    /// - Parameter isStopped: whether a job of it failed, so that what follows it is not made or not enqueued.
    package init(batch state: ResendBatch.State, isStopped: Bool, total: Int64, failed: Int64, _ outcome: ResendOutcome)
    {
        switch state {
        case .canceled: self = .canceled
        case .processing: self = .processing
        case .completed where isStopped && outcome.pending == 0: self = .failed
        case .completed: self = Self(ended: outcome, total: total, missing: failed)
        }
    }

    private init(ended outcome: ResendOutcome, total: Int64, missing: Int64) {
        if outcome.pending > 0 {
            self = .delivering
        } else if outcome.undelivered + missing > 0 {
            self = outcome.delivered > 0 ? .partlyDelivered : .undelivered
        } else if outcome.delivered > 0 {
            self = .delivered
        } else {
            self = total > 0 ? .skipped : .empty
        }
    }

    /// Whether nothing is missing: exit code 0 of what waits for the outcome.
    package var isComplete: Bool {
        switch self {
        case .delivered, .skipped, .empty: true
        case .processing, .delivering, .partlyDelivered, .undelivered, .canceled, .failed: false
        }
    }

    /// As people read it.
    package var words: String { rawValue.replacing("_", with: " ") }
}

/// What became of a resend's deliveries: the four add up to what is enqueued (`docs/contract.md` 13.1).
package struct ResendOutcome: Sendable, Equatable {
    package var delivered: Int64
    package var undelivered: Int64
    package var pending: Int64
    package var skipped: Int64

    package init(delivered: Int64, undelivered: Int64, pending: Int64, skipped: Int64) {
        self.delivered = delivered
        self.undelivered = undelivered
        self.pending = pending
        self.skipped = skipped
    }

    package func write(into writer: inout JSONWriter) {
        writer.object("outcome") { writer in
            writer.member("delivered", delivered)
            writer.member("undelivered", undelivered)
            writer.member("pending", pending)
            writer.member("skipped", skipped)
        }
    }
}

/// A v2 job with its outcome (`docs/contract.md` 13.1).
package struct ResendDetails: Sendable, Equatable {
    package var resend: Resend
    package var outcome: ResendOutcome
    /// `completed`, `canceled` or `failed`; nil while it runs.
    package var ended: String?
    /// `receiver_paused` while it can only wait; not looked up for lists.
    package var waitingOn: String?

    package init(resend: Resend, outcome: ResendOutcome, ended: String?, waitingOn: String? = nil) {
        self.resend = resend
        self.outcome = outcome
        self.ended = ended
        self.waitingOn = waitingOn
    }

    package var phase: ResendPhase {
        ResendPhase(
            kind: resend.kind, state: resend.state, isCanceled: ended == "canceled", total: resend.total,
            failed: resend.failed, outcome)
    }

    /// Whether nothing of it changes any more.
    package var isOver: Bool { resend.state != .processing && outcome.pending == 0 }

    package func writeMembers(into writer: inout JSONWriter) {
        resend.writeState(into: &writer)
        outcome.write(into: &writer)
        writer.member("ended", ended)
        writer.member("requested_by", resend.requestedBy)
        if let waitingOn { writer.member("waiting_on", waitingOn) }
        writer.member("phase", phase.rawValue)
    }

    /// A row of a list of jobs with `include=outcome` (`docs/contract.md` 13.3).
    package func writeRow(into writer: inout JSONWriter) {
        writer.member("job_id", resend.jobID)
        writeMembers(into: &writer)
    }
}

/// A v3 log with its outcome (`docs/contract.md` 13.18).
package struct ResendLogDetails: Sendable, Equatable {
    package var log: ResendLog
    package var merchantID: Int64
    package var accountID: Int64
    package var state: Resend.State
    /// Messages found so far, enqueued, and those that could not be.
    package var total: Int64
    package var queued: Int64
    package var failed: Int64
    package var outcome: ResendOutcome
    package var ended: String?
    package var requestedBy: String
    package var waitingOn: String?

    package init(
        log: ResendLog, merchantID: Int64, accountID: Int64, state: Resend.State, total: Int64, queued: Int64,
        failed: Int64, outcome: ResendOutcome, ended: String?, requestedBy: String, waitingOn: String? = nil
    ) {
        self.log = log
        self.merchantID = merchantID
        self.accountID = accountID
        self.state = state
        self.total = total
        self.queued = queued
        self.failed = failed
        self.outcome = outcome
        self.ended = ended
        self.requestedBy = requestedBy
        self.waitingOn = waitingOn
    }

    package var phase: ResendPhase {
        ResendPhase(
            kind: log.category.resendKind, state: state, isCanceled: ended == "canceled", total: total,
            failed: failed, outcome)
    }

    package var isOver: Bool { state != .processing && state != .awaiting && outcome.pending == 0 }

    /// The log object, and what `include=outcome` adds to it.
    package func writeMembers(into writer: inout JSONWriter) {
        log.write(into: &writer)
        writer.member("total", total)
        writer.member("queued", queued)
        writer.member("failed", failed)
        outcome.write(into: &writer)
        writer.member("ended", ended)
        writer.member("requested_by", requestedBy)
        if let waitingOn { writer.member("waiting_on", waitingOn) }
        writer.member("phase", phase.rawValue)
    }
}
