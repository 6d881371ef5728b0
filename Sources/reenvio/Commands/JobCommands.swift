import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct JobCommands: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "job", abstract: "Resend jobs: what they did, and how far they are.",
        subcommands: [List.self, Show.self, Watch.self, Cancel.self]
    )

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Lists jobs, newest first.")

        @OptionGroup var options: CommandOptions
        @OptionGroup var paging: PagingOptions
        @Option(help: "Only jobs of this merchant.") var merchant: Int64?
        @Option(help: "Only processing, completed or failed ones.") var status: String?

        func run() async throws {
            try await reportingFailures {
                let page = try paging.page()
                let state = try status.map { text in
                    guard let state = Resend.State(rawValue: text) else {
                        throw CreationRefused(description: "--status must be processing, completed or failed")
                    }
                    return state
                }
                try await options.withStore { store, _ in
                    let found = try await store.listResends(ResendFilter(merchantID: merchant, state: state), page)
                    let lines = found.jobs.map { job in
                        "\(job.jobID)  \(TimeText.zulu(job.startedAt))  merchant \(job.merchantID)  "
                            + "\(job.state.rawValue)  matched \(job.total), queued \(job.queued), failed \(job.failed)"
                    }
                    options.report(paging.words(lines, none: "There are no jobs.", next: found.next)) { writer in
                        writer.array("data") { writer in
                            for job in found.jobs { writer.object { job.writeRow(into: &$0) } }
                        }
                        writer.member("next", found.next)
                    }
                }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Shows one job, or what became of each payout of it.")

        @OptionGroup var options: CommandOptions
        @OptionGroup var paging: PagingOptions
        @Argument(help: "The job's id.") var jobID: String
        @Flag(help: "Its payouts, page by page, each with what was answered last.") var items = false
        @Option(help: "Only delivered, undelivered, pending or skipped ones (with --items).") var outcome: String?

        func run() async throws {
            try await reportingFailures {
                let page = try paging.page()
                let outcome = try outcome.map { text in
                    guard let outcome = LedgerOutcome(rawValue: text) else {
                        throw CreationRefused(
                            description: "--outcome must be delivered, undelivered, pending or skipped")
                    }
                    return outcome
                }
                guard items || (outcome == nil && page == CursorPage()) else {
                    throw CreationRefused(description: "--outcome, --limit and --cursor go with --items")
                }
                try await options.withStore { store, _ in
                    let watch = JobWatch(store: store, jobID: jobID)
                    if items {
                        try await watch.reportItems(options, paging, outcome: outcome, page)
                    } else {
                        try await watch.report(options)
                    }
                }
            }
        }
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Draws a job's progress until it has ended.")

        @OptionGroup var options: CommandOptions
        @Argument(help: "The job's id.") var jobID: String

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, _ in
                    try await JobWatch(store: store, jobID: jobID).show(options)
                }
            }
        }
    }
}

extension JobCommands {
    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stops a job: what is pending is skipped, what was sent stays.",
            discussion: """
                A running job fails with the reason "Canceled."; a completed one keeps its status. A server on the
                store stops sending within a second. A job of which nothing is pending any more is not canceled.
                """
        )

        @OptionGroup var options: CommandOptions
        @Argument(help: "The job's id.") var jobID: String

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, now in
                    let canceled = try await store.cancelResend(
                        jobID: jobID, accountID: nil, by: CommandActor.requester, now: now)
                    switch canceled {
                    case .canceled: try await JobWatch(store: store, jobID: jobID).report(options)
                    case .alreadyEnded:
                        throw CreationRefused(description: "The resend job has already ended.")
                    case .notFound, .foreign:
                        throw CreationRefused(description: "Resend job not found or expired.")
                    }
                }
            }
        }
    }
}

/// Options of commands that list page by page.
struct PagingOptions: ParsableArguments {
    @Option(help: "Rows on a page, 1 to 100.") var limit: Int64 = Limits.pageSizeDefault
    @Option(help: "Goes on after a page, with its `next`.") var cursor: String?

    func page() throws -> CursorPage {
        guard (1...Limits.pageSizeMax).contains(limit) else {
            throw CreationRefused(description: "--limit must be between 1 and \(Limits.pageSizeMax)")
        }
        guard let cursor else { return CursorPage(limit: limit) }
        guard let after = CursorPage.position(cursor) else {
            throw CreationRefused(description: "--cursor is not a cursor of this list")
        }
        return CursorPage(limit: limit, after: after)
    }

    func words(_ lines: [String], none: String, next: String?) -> String {
        if lines.isEmpty, next == nil { return none }
        return (lines + (next.map { ["More with --cursor \($0)"] } ?? [])).joined(separator: "\n")
    }
}
