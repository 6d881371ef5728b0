import ArgumentParser
import Foundation
import ReenvioModel
import ReenvioStore

struct ResendCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resend",
        abstract: "Sends merchants' webhooks again in bulk: counts with --dry-run, dispatches without.",
        discussion: """
            Matches payouts by the time of their last status change, both ends included. Writes the job into the store;
            a running server takes it from there. A range longer than 3 hours, up to 31 days, or several merchants are
            one batch: a job for each window of 3 hours in which something matches, no payout in two of them. An equal
            batch of the last 24 hours is shown instead of sent again, unless --again says otherwise.
            """
    )

    @OptionGroup var options: CommandOptions
    @Option(help: "The merchant, or several separated by commas.") var merchant: String?
    @Flag(help: "Every merchant.") var allMerchants = false
    @Option(help: "Start of the window, UTC, as \"2026-03-24 08:00:00\".") var from: String
    @Option(help: "End of the window, at most 31 days later.") var to: String
    @Option(help: "Status ids separated by commas; every notifiable one when left out.") var status: String?
    @Flag(help: "Only say how many payouts match.") var dryRun = false
    @Flag(help: "With --dry-run: say where they would go, and what of the window does not match.") var explain = false
    @Flag(help: "Only payouts whose latest webhook was not acknowledged.") var onlyUnacknowledged = false
    @Option(help: "At most so many attempts per second, over all nodes, 1 to 10,000.") var maxPerSecond: Int64?
    @Option(help: "So many go first, 1 to 1,000; the rest follow when 95 % of them were acknowledged.")
    var canary: Int64?
    @Flag(help: "Draw the progress until the job is delivered (see `reenvio job watch`).") var watch = false
    @OptionGroup var watching: WatchOptions
    @Flag(help: "Send again what an equal batch of the last 24 hours sent.") var again = false

    func validate() throws {
        if !watch, watching.isGiven {
            throw ValidationError("--wait-for and --timeout go with --watch")
        }
        if dryRun, watch { throw ValidationError("--dry-run starts no job that could be watched") }
        if explain, !dryRun { throw ValidationError("--explain explains a count: it needs --dry-run") }
        if explain, isBatch {
            throw ValidationError("--explain explains one window of at most 3 hours of one merchant")
        }
        if (merchant == nil) != allMerchants { throw ValidationError("give either --merchant or --all-merchants") }
    }

    func run() async throws {
        try await reportingFailures {
            try await options.withStore { store, now in
                if isBatch {
                    return try await BatchDispatch(store, options).run(
                        batchBody, watch: watch, untilDelivered: watching.goal == .delivered, now: now)
                }
                let (request, owner) = try await request(store)
                if dryRun { return try await count(request, store) }
                let job = try await dispatch(request, accountID: owner.accountID, store, now)
                if watch {
                    try await JobWatch(store: store, name: .job(job.jobID)).show(options, watching)
                } else {
                    options.report("Job \(job.jobID) dispatched; \(job.total) payouts match.") {
                        job.writeDispatch(into: &$0)
                    }
                }
            }
        }
    }

    private func count(_ request: ResendRequest, _ store: Store) async throws {
        guard explain else {
            let total = try await store.countMatching(request)
            options.report("\(total) payouts match.") { $0.member("total", total) }
            return
        }
        let settings = try await options.settings()
        let rules = ExplainRules(
            policy: try await options.policy(), firstWait: settings.retrySchedule.firstWait,
            now: try await store.engineNow(wall: Terminal.now))
        let explanation = try await store.explain(request, rules)
        options.report(Self.words(explanation)) { writer in
            writer.member("total", explanation.total)
            explanation.write(into: &writer)
        }
    }

    private static func words(_ explanation: ResendExplanation) -> String {
        var lines = ["\(explanation.total) payouts match. \(explanation.estimate.sentence)"]
        for share in explanation.byStatus {
            lines.append("matched by status    \(share.id) \(PayoutStatus(id: share.id)?.name ?? ""): \(share.total)")
        }
        for share in explanation.byReceiver {
            lines.append("matched by receiver  \(share.origin) (\(share.healthWord)): \(share.total)")
        }
        if explanation.others > 0 { lines.append("matched by receiver  others: \(explanation.others)") }
        let failing = explanation.wouldFail
        if failing.erased > 0 { lines.append("would fail           data erased: \(failing.erased)") }
        if failing.addressForbidden > 0 {
            lines.append("would fail           address not allowed: \(failing.addressForbidden)")
        }
        let missed = explanation.notMatched
        lines.append("not matched          no URL: \(missed.noURL)")
        lines.append("not matched          status sends no webhook: \(missed.notNotifiableNow)")
        lines.append("not matched          another status: \(missed.otherStatus)")
        if let count = missed.acknowledged { lines.append("not matched          acknowledged: \(count)") }
        return lines.joined(separator: "\n")
    }

    /// The flags as the body of `POST /v2/payout/notifications/resend`, under the same rules and with the same texts
    /// (`docs/contract.md` 4.1).
    private func request(_ store: Store) async throws -> (ResendRequest, Merchant) {
        let body = try body { writer in
            if let id = merchants.first { Self.write(id, into: &writer, "merchant_id") }
        }
        let reading = ResendRequest.read(body)
        var faults = reading.faults
        var owner: Merchant?
        if let id = reading.merchantID { owner = try await store.merchant(id: id, accountID: nil) }
        if let id = reading.merchantID, owner == nil { faults.add("merchant_id", "There is no merchant \(id).") }
        guard faults.isEmpty, let request = reading.request, let owner else { throw faults }
        return (request, owner)
    }

    private func dispatch(
        _ request: ResendRequest, accountID: Int64, _ store: Store, _ now: Timestamp
    ) async throws -> Resend {
        var generator = SystemRandomNumberGenerator()
        let opening = ResendOpening(
            accountID: accountID, jobID: Resend.newJobID(using: &generator), requester: CommandActor.requester)
        guard let job = try await store.openResend(request, opening, now: now).resend else {
            throw CreationRefused(description: "A resend job is already running for this merchant and time range.")
        }
        return job
    }
}

// MARK: - What the flags ask for

extension ResendCommand {
    fileprivate var merchants: [String] {
        (merchant ?? "").split(separator: ",", omittingEmptySubsequences: false).map { $0.filter { $0 != " " } }
    }

    /// More than one job can do: several merchants, or a range longer than a window.
    fileprivate var isBatch: Bool {
        if allMerchants || again || merchants.count > 1 { return true }
        guard let start = TimeText.parsePlain(from), let end = TimeText.parsePlain(to) else { return false }
        return end.seconds - start.seconds > Limits.resendWindowSeconds
    }

    fileprivate var batchBody: JSONObject {
        get throws {
            try body { writer in
                if allMerchants {
                    writer.member("all_merchants", true)
                } else {
                    writer.array("merchant_ids") { writer in
                        for text in merchants {
                            if let id = Int64(text) { writer.value(id) } else { writer.value(text) }
                        }
                    }
                }
                if dryRun { writer.member("dry_run", true) }
                if again { writer.member("again", true) }
            }
        }
    }

    /// What is no number stays a text, and is refused as one.
    fileprivate static func write(_ text: String, into writer: inout JSONWriter, _ key: String) {
        if let number = Int64(text) { writer.member(key, number) } else { writer.member(key, text) }
    }

    /// The flags that a job and a batch share, as a body of the API.
    fileprivate func body(_ whose: (inout JSONWriter) -> Void) throws -> JSONObject {
        var writer = JSONWriter()
        writer.object { writer in
            whose(&writer)
            writer.member("start_time", from)
            writer.member("end_time", to)
            if onlyUnacknowledged { writer.member("only_unacknowledged", true) }
            writer.member("max_per_second", maxPerSecond)
            writer.member("canary", canary)
            if let status {
                writer.array("status_ids") { writer in
                    for part in status.split(separator: ",") {
                        let text = part.filter { $0 != " " }
                        if let id = Int64(text) { writer.value(id) } else { writer.value(text) }
                    }
                }
            }
        }
        guard case .object(let body) = try JSONParser.parse(writer.bytes) else { throw Faults() }
        return body
    }
}
