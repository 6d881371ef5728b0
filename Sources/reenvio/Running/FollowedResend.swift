import ReenvioModel
import ReenvioStore

/// Which resend a command means: a v2 job by its 32 hex digits, a v3 log by its number.
enum ResendName: Sendable {
    case job(String)
    case log(Int64)

    init(_ text: String) {
        // The 32 digits of a job's id may all be decimal; a number of 64 bits has at most 19.
        if text.utf8.count < 20, let id = Int64(text) { self = .log(id) } else { self = .job(text) }
    }

    /// - Throws: what there is not.
    func find(in store: Store) async throws -> FollowedResend {
        switch self {
        case .job(let id):
            guard let details = try await store.resendDetails(jobID: id) else { throw Self.unknown }
            return .job(details)
        case .log(let id):
            guard let details = try await store.logDetails(id: id) else { throw Self.unknown }
            return .log(details)
        }
    }

    static let unknown = CreationRefused(description: "Resend job not found or expired.")
}

/// A job or a log with its outcome, as commands show both.
enum FollowedResend {
    case job(ResendDetails)
    case log(ResendLogDetails)

    var phase: ResendPhase {
        switch self {
        case .job(let job): job.phase
        case .log(let log): log.phase
        }
    }

    var outcome: ResendOutcome {
        switch self {
        case .job(let job): job.outcome
        case .log(let log): log.outcome
        }
    }

    /// Matched, enqueued, and those that could not be.
    var counts: (total: Int64, queued: Int64, failed: Int64) {
        switch self {
        case .job(let job): (job.resend.total, job.resend.queued, job.resend.failed)
        case .log(let log): (log.total, log.queued, log.failed)
        }
    }

    /// Whether nothing more of it will be enqueued.
    var isEnqueued: Bool {
        switch self {
        case .job(let job): job.resend.state != .processing
        case .log(let log): log.state != .processing
        }
    }

    /// Whether nothing of it changes any more.
    var isOver: Bool {
        switch self {
        case .job(let job): job.isOver
        case .log(let log): log.isOver
        }
    }

    private var reason: String? {
        switch self {
        case .job(let job): job.resend.reason
        case .log(let log): log.log.errorMessage
        }
    }

    /// What is missing, in words.
    var shortfall: String {
        let parts = [
            (outcome.undelivered, "undelivered"), (outcome.pending, "pending"), (counts.failed, "not queued"),
            (counts.total - counts.queued - counts.failed, "not reached"),
        ].filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }
        let why = reason.map { ": \($0)" } ?? ""
        return "the resend is \(phase.words)\(why)" + (parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))")
    }

    /// One line of a list.
    var line: String {
        let head: String
        switch self {
        case .job(let job):
            head =
                "\(job.resend.jobID)  \(TimeText.zulu(job.resend.startedAt))  merchant \(job.resend.merchantID)"
        case .log(let log):
            let what = log.log.objectID.map { "object \($0)" } ?? "range"
            head =
                "\(log.log.id)  \(TimeText.zulu(log.log.createdAt))  user \(log.log.userID)  "
                + "\(log.log.category.rawValue) \(what)"
        }
        return "\(head)  \(phase.words)  matched \(counts.total), queued \(counts.queued), delivered "
            + "\(outcome.delivered), undelivered \(outcome.undelivered), pending \(outcome.pending), "
            + "skipped \(outcome.skipped), failed \(counts.failed)"
    }

    /// Each number with what it means: matched, queued and delivered are three things.
    var words: String {
        var lines: [String]
        switch self {
        case .job(let job):
            lines = [
                "Job \(job.resend.jobID) of merchant \(job.resend.merchantID), requested by \(job.resend.requestedBy)",
                "window       \(Self.span(job.resend.window)) UTC",
            ]
        case .log(let log):
            lines = ["Log \(log.log.id) (\(log.log.category.rawValue)), requested by \(log.requestedBy)"]
            if let objectID = log.log.objectID { lines.append("object       \(objectID)") }
            if let window = log.log.window { lines.append("range        \(Self.span(window)) UTC") }
        }
        lines += [
            "state        \(phase.words)\(reason.map { " (\($0))" } ?? "")",
            "matched      \(counts.total)", "queued       \(counts.queued)",
            "failed       \(counts.failed) (could not be queued)",
            "delivered    \(outcome.delivered)", "undelivered  \(outcome.undelivered)",
            "pending      \(outcome.pending)", "skipped      \(outcome.skipped)",
        ]
        return lines.joined(separator: "\n")
    }

    private static func span(_ window: ResendWindow) -> String {
        "\(TimeText.plain(Timestamp(seconds: window.startSeconds))) to "
            + TimeText.plain(Timestamp(seconds: window.endSeconds))
    }

    func writeMembers(into writer: inout JSONWriter) {
        switch self {
        case .job(let job): job.writeRow(into: &writer)
        case .log(let log): log.writeMembers(into: &writer)
        }
    }
}
