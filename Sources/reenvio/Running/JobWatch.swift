import Foundation
import ReenvioModel
import ReenvioStore

/// A job as somebody at a terminal follows it. Reads the store only: the server moves the job.
struct JobWatch {
    private static let interval: Duration = .milliseconds(200)
    /// After so long without progress a person should be told why that may be.
    private static let patience: Duration = .seconds(10)

    let store: Store
    let jobID: String

    /// Draws the progress on a terminal until the job has ended, then reports it.
    func show(_ options: CommandOptions) async throws {
        var last: (state: Resend, at: ContinuousClock.Instant)?
        var isToldToWait = false
        while true {
            let job = try await job()
            if Terminal.isErrorInteractive { draw(job) }
            if job.state != .processing { break }
            let now = ContinuousClock.now
            if last?.state.queued != job.queued || last?.state.failed != job.failed { last = (job, now) }
            if let since = last?.at, now - since > Self.patience, !isToldToWait {
                isToldToWait = true
                Terminal.error(
                    "reenvio: no progress for \(Self.patience): its canary may be undecided, a receiver paused, or no "
                        + "server runs on this store")
            }
            try await Task.sleep(for: Self.interval)
        }
        if Terminal.isErrorInteractive { Terminal.error("") }
        try await report(options)
        let ended = try await job()
        if ended.state == .failed { throw CreationRefused(description: "The resend job failed: \(ended.reason ?? "")") }
    }

    func report(_ options: CommandOptions) async throws {
        let job = try await job()
        let outcome = try await store.resendOutcome(id: job.id)
        options.report(words(job, outcome)) { job.writeRow(into: &$0) }
    }

    /// A page of the ledger (`docs/contract.md` 13.4).
    func reportItems(
        _ options: CommandOptions, _ paging: PagingOptions, outcome: LedgerOutcome?, _ page: CursorPage
    ) async throws {
        let found = try await store.listLedger(try await job(), outcome: outcome, page)
        let next = found.after.map { CursorPage.cursor($0) }
        let lines = found.items.map(Self.words)
        options.report(paging.words(lines, none: "There are no payouts to show.", next: next)) { writer in
            writer.array("data") { writer in
                for item in found.items { writer.object { item.writeMembers(into: &$0) } }
            }
            writer.member("next", next)
        }
    }

    private static func words(_ item: LedgerItem) -> String {
        let answered = [item.lastStatusCode.map { String($0) }, item.lastReason].compactMap(\.self)
            .joined(separator: " ")
        let last = [item.lastAttemptAt.map(TimeText.zulu), answered.isEmpty ? nil : answered].compactMap(\.self)
            .joined(separator: ": ")
        return "payout \(item.payoutID)  \(item.outcome.rawValue)  attempts \(item.attempts)"
            + (last.isEmpty ? "" : ", last \(last)")
    }

    private func job() async throws -> Resend {
        guard let job = try await store.resend(jobID: jobID) else {
            throw CreationRefused(description: "Resend job not found or expired.")
        }
        return job
    }

    private func draw(_ job: Resend) {
        let bar = Terminal.bar(job.queued + job.failed, of: job.total)
        Terminal.error("\rqueued \(bar) \(job.queued + job.failed) of \(job.total) ", terminator: "")
    }

    /// Each number with what it means: matched, queued and delivered are three things.
    private func words(_ job: Resend, _ outcome: ResendOutcome?) -> String {
        var lines = [
            "Job \(job.jobID) of merchant \(job.merchantID), requested by \(job.requestedBy)",
            "window       \(TimeText.plain(Timestamp(seconds: job.window.startSeconds))) to "
                + "\(TimeText.plain(Timestamp(seconds: job.window.endSeconds))) UTC",
            "status       \(job.state.rawValue)\(job.reason.map { " (\($0))" } ?? "")",
            "matched      \(job.total)", "queued       \(job.queued)",
            "failed       \(job.failed) (could not be queued)",
        ]
        if let outcome {
            lines += [
                "delivered    \(outcome.delivered)", "undelivered  \(outcome.undelivered)",
                "pending      \(outcome.pending)", "skipped      \(outcome.skipped)",
            ]
        }
        return lines.joined(separator: "\n")
    }
}
