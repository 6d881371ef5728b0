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
        static let configuration = CommandConfiguration(
            abstract: "Lists jobs, or logs of v3, newest first, each with its outcome.")

        @OptionGroup var options: CommandOptions
        @OptionGroup var paging: PagingOptions
        @Option(help: "Only jobs of this merchant.") var merchant: Int64?
        @Option(help: "Only jobs whose published status is processing, completed or failed.") var status: String?
        @Flag(help: "Resend logs of v3 instead of jobs.") var logs = false

        func validate() throws {
            if logs, merchant != nil || status != nil {
                throw ValidationError("--merchant and --status choose among jobs, not --logs")
            }
        }

        func run() async throws {
            try await reportingFailures {
                let page = try paging.page()
                let state = try status.map { text in
                    let states: [Resend.State] = [.processing, .completed, .failed]
                    guard let state = states.first(where: { $0.rawValue == text }) else {
                        throw CreationRefused(description: "--status must be processing, completed or failed")
                    }
                    return state
                }
                try await options.withStore { store, _ in
                    let found: (resends: [FollowedResend], next: String?)
                    if logs {
                        let list = try await store.listLogDetails(accountID: nil, page)
                        found = (list.logs.map { .log($0) }, list.next)
                    } else {
                        let filter = ResendFilter(merchantID: merchant, state: state)
                        let list = try await store.listResends(filter, page)
                        found = (list.jobs.map { .job($0) }, list.next)
                    }
                    let none = logs ? "There are no logs." : "There are no jobs."
                    let words = paging.words(found.resends.map(\.line), none: none, next: found.next)
                    options.report(words) { writer in
                        writer.array("data") { writer in
                            for resend in found.resends { writer.object { resend.writeMembers(into: &$0) } }
                        }
                        writer.member("next", found.next)
                    }
                }
            }
        }
    }

    struct Show: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Shows one job or log, or what became of each item of it.")

        @OptionGroup var options: CommandOptions
        @OptionGroup var paging: PagingOptions
        @Argument(help: "The job's id, or the number of a log.") var jobID: String
        @Flag(help: "Its payouts or messages, page by page, each with what was answered last.") var items = false
        @Option(help: "Only \(LedgerOutcome.words) ones (with --items).") var outcome: String?

        func run() async throws {
            try await reportingFailures {
                let outcome = try outcome.map { text in
                    guard let outcome = LedgerOutcome(rawValue: text) else {
                        throw CreationRefused(description: "--outcome must be \(LedgerOutcome.words)")
                    }
                    return outcome
                }
                guard items || (outcome == nil && paging.isDefault) else {
                    throw CreationRefused(description: "--outcome, --limit and --cursor go with --items")
                }
                _ = try paging.checkedLimit()
                try await options.withStore { store, _ in
                    let watch = JobWatch(store: store, name: ResendName(jobID))
                    if items {
                        try await watch.reportItems(options, paging, outcome: outcome)
                    } else {
                        try await watch.report(options)
                    }
                }
            }
        }
    }

    struct Watch: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Draws the progress of a job or log until it is delivered.",
            discussion: """
                Exits with 0 where nothing is missing: each item was acknowledged, or needed no attempt. Exits with 1
                where anything is undelivered, could not be queued, was canceled, or is pending after --timeout. With
                --wait-for enqueued it does not wait for outcomes, and what is pending then is no failure.
                """)

        @OptionGroup var options: CommandOptions
        @OptionGroup var watching: WatchOptions
        @Argument(help: "The job's id, or the number of a log.") var jobID: String

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, _ in
                    try await JobWatch(store: store, name: ResendName(jobID)).show(options, watching)
                }
            }
        }
    }
}

extension LedgerOutcome {
    fileprivate static var words: String {
        let words = allCases.map(\.rawValue)
        return words.dropLast().joined(separator: ", ") + " or " + (words.last ?? "")
    }
}

extension JobCommands {
    struct Cancel: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stops a job or log: what is pending is skipped, what was sent stays.",
            discussion: """
                A running one fails with the reason "Canceled."; a completed job keeps its status. A server on the
                store stops sending within a second. One of which nothing is pending any more is not canceled.
                """
        )

        @OptionGroup var options: CommandOptions
        @Argument(help: "The job's id, or the number of a log.") var jobID: String

        func run() async throws {
            try await reportingFailures {
                try await options.withStore { store, now in
                    try await cancel(ResendName(jobID), store, now)
                    try await JobWatch(store: store, name: ResendName(jobID)).report(options)
                }
            }
        }

        private func cancel(_ name: ResendName, _ store: Store, _ now: Timestamp) async throws {
            switch name {
            case .job(let id):
                let canceled = try await store.cancelResend(
                    jobID: id, accountID: nil, by: CommandActor.requester, now: now)
                switch canceled {
                case .canceled: break
                case .alreadyEnded: throw CreationRefused(description: "The resend job has already ended.")
                case .notFound, .foreign: throw ResendName.unknown
                }
            case .log(let id):
                switch try await store.cancelLog(id: id, by: CommandActor.requester, now: now) {
                case .canceled: break
                case .alreadyEnded: throw CreationRefused(description: "The resend log has already ended.")
                case .notFound: throw ResendName.unknown
                }
            }
        }
    }
}

/// Options of commands that list page by page.
struct PagingOptions: ParsableArguments {
    @Option(help: "Rows on a page, 1 to 100.") var limit: Int64 = Limits.pageSizeDefault
    @Option(help: "Goes on after a page, with its `next`.") var cursor: String?

    static let foreignCursor = CreationRefused(description: "--cursor is not a cursor of this list")

    var isDefault: Bool { limit == Limits.pageSizeDefault && cursor == nil }

    func checkedLimit() throws -> Int64 {
        guard (1...Limits.pageSizeMax).contains(limit) else {
            throw CreationRefused(description: "--limit must be between 1 and \(Limits.pageSizeMax)")
        }
        return limit
    }

    func page() throws -> CursorPage {
        let limit = try checkedLimit()
        guard let cursor else { return CursorPage(limit: limit) }
        guard let after = CursorPage.position(cursor) else { throw Self.foreignCursor }
        return CursorPage(limit: limit, after: after)
    }

    func words(_ lines: [String], none: String, next: String?) -> String {
        if lines.isEmpty, next == nil { return none }
        return (lines + (next.map { ["More with --cursor \($0)"] } ?? [])).joined(separator: "\n")
    }
}
