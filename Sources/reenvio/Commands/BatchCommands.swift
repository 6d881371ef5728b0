import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

/// Counts or dispatches a batch from the terminal (`docs/contract.md` 13.17).
struct BatchDispatch {
    private let store: Store
    private let options: CommandOptions

    init(_ store: Store, _ options: CommandOptions) {
        self.store = store
        self.options = options
    }

    /// - Parameter untilDelivered: what `watch` waits for; else that everything is enqueued.
    func run(_ body: JSONObject, watch: Bool, untilDelivered: Bool = true, now: Timestamp) async throws {
        let request = try ResendBatchRequest.parse(body)
        if case .named(let ids) = request.merchants {
            let known = try await store.knownMerchants(ids, accountID: nil)
            let unknown = ids.filter { !known.contains($0) }.map { String($0) }
            if !unknown.isEmpty {
                throw CreationRefused(description: "There is no merchant \(unknown.joined(separator: ", ")).")
            }
        }
        if request.dryRun { return try await count(request) }
        var generator = SystemRandomNumberGenerator()
        let opening = ResendOpening(
            accountID: 0, jobID: Resend.newJobID(using: &generator), requester: CommandActor.requester)
        switch try await store.openBatch(request, opening, accountID: nil, now: now) {
        case .tooManyMerchants: throw CreationRefused(description: ResendBatchRequest.tooManyMerchants)
        case .existing(let batch):
            let when = TimeText.zulu(batch.startedAt)
            Terminal.error(
                "reenvio: the same resend was asked for at \(when): nothing new is sent (--again sends it again)")
            try await show(batch, watch, untilDelivered)
        case .opened(let batch): try await show(batch, watch, untilDelivered)
        }
    }

    private func show(_ batch: ResendBatch, _ watch: Bool, _ untilDelivered: Bool) async throws {
        let progress = BatchWatch(store: store, batchID: batch.publicID)
        if watch {
            try await progress.show(options, untilDelivered: untilDelivered)
        } else {
            try await progress.report(options)
        }
    }

    private func count(_ request: ResendBatchRequest) async throws {
        guard let count = try await store.countBatch(request, accountID: nil) else {
            throw CreationRefused(description: ResendBatchRequest.tooManyMerchants)
        }
        var lines = count.shares.map { "merchant \($0.merchantID)  \($0.total)" }
        let windows = count.windows == 1 ? "1 window" : "\(count.windows) windows"
        lines.append("\(count.total) payouts of \(count.shares.count) merchants match, in \(windows) each.")
        options.report(lines.joined(separator: "\n")) { count.writeMembers(into: &$0) }
    }
}

/// A batch as it is followed at a terminal. Reads the store only: the server makes and moves its jobs.
struct BatchWatch {
    private static let interval: Duration = .milliseconds(200)

    let store: Store
    let batchID: String

    /// Draws one progress for all jobs until everything has its outcome, or is enqueued, then reports it.
    /// - Throws: where a job failed, or something could not be enqueued or is undelivered.
    func show(_ options: CommandOptions, untilDelivered: Bool) async throws {
        var found = try await batch()
        while untilDelivered ? !found.isOver : found.state == .processing {
            if Terminal.isErrorInteractive { draw(found) }
            try await Task.sleep(for: Self.interval)
            found = try await batch()
        }
        if Terminal.isErrorInteractive {
            draw(found)
            Terminal.error("")
        }
        options.report(Self.words(found)) { found.writeMembers(into: &$0) }
        if found.state == .canceled { throw CreationRefused(description: "The resend batch was canceled.") }
        if found.failedJobs > 0 {
            throw CreationRefused(description: "\(found.failedJobs) of \(found.jobs) jobs failed.")
        }
        let missed = found.failed + found.undelivered
        if missed > 0 { throw CreationRefused(description: "\(missed) of \(found.total) webhooks are undelivered.") }
    }

    func report(_ options: CommandOptions) async throws {
        let batch = try await batch()
        options.report(Self.words(batch)) { batch.writeMembers(into: &$0) }
    }

    private func batch() async throws -> ResendBatch {
        guard let batch = try await store.batch(publicID: batchID, accountID: nil) else {
            throw CreationRefused(description: "Resend batch not found or expired.")
        }
        return batch
    }

    /// Enqueued and delivered are two numbers; the bar fills with outcomes.
    private func draw(_ batch: ResendBatch) {
        let done = batch.delivered + batch.undelivered + batch.skipped + batch.failed
        let missed = batch.undelivered + batch.failed
        Terminal.error(
            "\r\(Terminal.bar(done, of: batch.total)) merchants \(batch.opened) of \(batch.merchants), "
                + "queued \(batch.queued), delivered \(batch.delivered)"
                + "\(missed > 0 ? ", undelivered \(missed)" : "") of \(batch.total) ",
            terminator: "")
    }

    static func words(_ batch: ResendBatch) -> String {
        [
            "Batch \(batch.publicID), requested by \(batch.requestedBy)",
            "range        \(TimeText.plain(Timestamp(seconds: batch.range.startSeconds))) to "
                + "\(TimeText.plain(Timestamp(seconds: batch.range.endSeconds))) UTC",
            "state        \(batch.phase.words)",
            "merchants    \(batch.opened) of \(batch.merchants) begun",
            "jobs         \(batch.jobs), \(batch.runningJobs) running, \(batch.failedJobs) failed",
            "matched      \(batch.total)", "queued       \(batch.queued)",
            "failed       \(batch.failed) (could not be queued)", "delivered    \(batch.delivered)",
            "undelivered  \(batch.undelivered)", "pending      \(batch.pending)", "skipped      \(batch.skipped)",
        ].joined(separator: "\n")
    }
}

struct BatchCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "batch", abstract: "Resends over a range or several merchants: how far they are.",
        subcommands: [List.self, Show.self, Watch.self, Cancel.self])

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists batches, newest first.")

        @OptionGroup var options: CommandOptions
        @OptionGroup var paging: PagingOptions

        func run() async throws {
            try await reportingFailures {
                let page = try paging.page()
                try await options.withStore { store, _ in
                    let found = try await store.listBatches(accountID: nil, page)
                    let lines = found.batches.map { batch in
                        "\(batch.publicID)  \(TimeText.zulu(batch.startedAt))  \(batch.phase.words)  "
                            + "merchants \(batch.merchants), matched \(batch.total), queued \(batch.queued), "
                            + "delivered \(batch.delivered), undelivered \(batch.undelivered), "
                            + "pending \(batch.pending), skipped \(batch.skipped), failed \(batch.failed)"
                    }
                    options.report(paging.words(lines, none: "There are no batches.", next: found.next)) { writer in
                        writer.array("data") { writer in
                            for batch in found.batches { writer.object { batch.writeMembers(into: &$0) } }
                        }
                        writer.member("next", found.next)
                    }
                }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows one batch with the sums of its jobs.")

        @OptionGroup var options: CommandOptions
        @Argument(help: "The batch's id.") var batchID: String

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, _ in
                    try await BatchWatch(store: store, batchID: batchID).report(options)
                }
            }
        }
    }

    struct Watch: AsyncParsableCommand {
        enum Goal: String, ExpressibleByArgument, CaseIterable {
            case enqueued, delivered
        }

        static let configuration = CommandConfiguration(
            abstract: "Draws a batch's progress until everything has its outcome.",
            discussion: "The exit code is 1 where a job failed, or something is undelivered.")

        @OptionGroup var options: CommandOptions
        @Argument(help: "The batch's id.") var batchID: String
        @Option(help: "Follow until everything is \"enqueued\", or \"delivered\", that is, has its outcome.")
        var waitFor: Goal = .delivered

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, _ in
                    try await BatchWatch(store: store, batchID: batchID)
                        .show(options, untilDelivered: waitFor == .delivered)
                }
            }
        }
    }

    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stops a batch and its jobs: what is pending is skipped, what was sent stays.",
            discussion: "Interrupted, run it again.")

        @OptionGroup var options: CommandOptions
        @Argument(help: "The batch's id.") var batchID: String

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, now in
                    let requester = CommandActor.requester
                    switch try await store.stopBatch(publicID: batchID, accountID: nil, by: requester, now: now) {
                    case .stopped: break
                    case .notFound: throw CreationRefused(description: "Resend batch not found or expired.")
                    case .alreadyEnded: throw CreationRefused(description: "The resend batch has already ended.")
                    }
                    var last: Int64 = 0
                    while true {
                        let jobs = try await store.openJobs(ofBatch: batchID, after: last)
                        for job in jobs {
                            _ = try await store.cancelResend(
                                jobID: job.jobID, accountID: nil, by: requester, now: now)
                            last = job.id
                        }
                        if jobs.isEmpty { break }
                    }
                    try await BatchWatch(store: store, batchID: batchID).report(options)
                }
            }
        }
    }
}
