import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

/// How far a command follows a resend, and for how long.
struct WatchOptions: ParsableArguments {
    enum Goal: String, ExpressibleByArgument, CaseIterable {
        /// Nothing more of it will be enqueued.
        case enqueued
        /// Every item has its outcome.
        case delivered
    }

    @Option(help: "Follow until everything is \"enqueued\", or \"delivered\", that is, has its outcome (default).")
    var waitFor: Goal?
    @Option(help: "Give up after so many seconds; what is pending then is a failure.") var timeout: Int64?

    var goal: Goal { waitFor ?? .delivered }
    var isGiven: Bool { waitFor != nil || timeout != nil }

    func validate() throws {
        if let timeout, timeout < 1 { throw ValidationError("--timeout is a number of seconds, at least 1") }
    }
}

/// A job or a log followed at a terminal. Reads the store only: the server moves it.
struct JobWatch {
    private static let interval: Duration = .milliseconds(200)
    /// After this long without progress, a line says why that may be.
    private static let patience: Duration = .seconds(10)

    let store: Store
    let name: ResendName

    /// Draws the progress on a terminal until it is where `watching` waits for, then reports it.
    /// - Throws: where anything is undelivered, pending or not enqueued then; what is only pending may be where it was
    ///   followed until it was enqueued.
    func show(_ options: CommandOptions, _ watching: WatchOptions) async throws {
        let begun = ContinuousClock.now
        var last: (progress: [Int64], at: ContinuousClock.Instant)?
        var isToldToWait = false
        var found = try await name.find(in: store)
        while watching.goal == .enqueued ? !found.isEnqueued : !found.isOver {
            if Terminal.isErrorInteractive { draw(found) }
            let now = ContinuousClock.now
            let progress = Self.progress(found)
            if last?.progress != progress { last = (progress, now) }
            if let since = last?.at, now - since > Self.patience, !isToldToWait {
                isToldToWait = true
                Terminal.error(
                    "reenvio: no progress for \(Self.patience): its canary may be undecided, a receiver paused or "
                        + "broken, or no server runs on this store")
            }
            if let timeout = watching.timeout, now - begun >= .seconds(timeout) { break }
            try await Task.sleep(for: Self.interval)
            found = try await name.find(in: store)
        }
        if Terminal.isErrorInteractive {
            draw(found)
            Terminal.error("")
        }
        options.report(found.words) { found.writeMembers(into: &$0) }
        let isReached: Bool
        switch watching.goal {
        case .delivered: isReached = found.phase.isComplete
        case .enqueued:
            let isOnItsWay =
                found.phase == .delivering && found.isEnqueued && found.counts.failed + found.outcome.undelivered == 0
            isReached = found.phase.isComplete || isOnItsWay
        }
        if !isReached { throw CreationRefused(description: found.shortfall) }
    }

    func report(_ options: CommandOptions) async throws {
        let found = try await name.find(in: store)
        options.report(found.words) { found.writeMembers(into: &$0) }
    }

    private static func progress(_ found: FollowedResend) -> [Int64] {
        let (counts, outcome) = (found.counts, found.outcome)
        return [counts.queued, counts.failed, outcome.delivered, outcome.undelivered, outcome.skipped]
    }

    /// Enqueued and delivered are two numbers; the bar fills with outcomes.
    private func draw(_ found: FollowedResend) {
        let (counts, outcome) = (found.counts, found.outcome)
        let done = outcome.delivered + outcome.undelivered + outcome.skipped + counts.failed
        let missed = outcome.undelivered + counts.failed
        Terminal.error(
            "\r\(Terminal.bar(done, of: counts.total)) queued \(counts.queued), delivered \(outcome.delivered)"
                + "\(missed > 0 ? ", undelivered \(missed)" : "") of \(counts.total) ", terminator: "")
    }
}

// MARK: - The ledger

extension JobWatch {
    /// A page of the ledger (`docs/contract.md` 13.4 and 13.18).
    func reportItems(_ options: CommandOptions, _ paging: PagingOptions, outcome: LedgerOutcome?) async throws {
        switch try await name.find(in: store) {
        case .job(let job):
            let page = try paging.page()
            let found = try await store.listLedger(job.resend, outcome: outcome, page)
            let lines = found.items.map { item in
                Self.words(
                    "payout \(item.payoutID)", item.outcome, item.attempts, item.lastAttemptAt, item.lastStatusCode,
                    item.lastReason)
            }
            report(options, paging, lines, found.items, next: found.after.map { CursorPage.cursor($0) })
        case .log(let log):
            let after = try paging.cursor.map { text in
                guard let place = LogLedgerPlace(cursor: text) else { throw PagingOptions.foreignCursor }
                return place
            }
            let found = try await store.listLedger(
                log, outcome: outcome, limit: try paging.checkedLimit(), after: after)
            let lines = found.items.map { item in
                Self.words(
                    "object \(item.objectID.map { String($0) } ?? "?") \(item.type ?? "") to webhook "
                        + "\(item.registrationID)", item.outcome, item.attempts, item.lastAttemptAt,
                    item.lastStatusCode, item.lastReason)
            }
            report(options, paging, lines, found.items, next: found.after?.cursor)
        }
    }

    private func report(
        _ options: CommandOptions, _ paging: PagingOptions, _ lines: [String], _ items: [some LedgerRow], next: String?
    ) {
        options.report(paging.words(lines, none: "There is nothing to show.", next: next)) { writer in
            writer.array("data") { writer in
                for item in items { writer.object { item.writeMembers(into: &$0) } }
            }
            writer.member("next", next)
        }
    }

    private static func words(
        _ what: String, _ outcome: LedgerOutcome, _ attempts: Int64, _ at: Timestamp?, _ code: Int64?, _ reason: String?
    ) -> String {
        let answered = [code.map { String($0) }, reason].compactMap(\.self).joined(separator: " ")
        let last = [at.map(TimeText.zulu), answered.isEmpty ? nil : answered].compactMap(\.self)
            .joined(separator: ": ")
        return "\(what)  \(outcome.rawValue)  attempts \(attempts)" + (last.isEmpty ? "" : ", last \(last)")
    }
}
