import Foundation
import ReenvioModel
import ReenvioStore

/// The whole story in one minute of reading: an outage, and its repair by a bulk resend.
struct DemoStory: Sendable {
    private static let missedCount: Int64 = 700
    private static let otherCount: Int64 = 100
    private static let buttonPresses = 5

    let actors: DemoStage.Actors

    func tell() async throws {
        say("Reenvio demo: a scratch store, a real server and a real receiver on this machine.")
        let before = Terminal.now
        let missed = try await createPayouts(Self.missedCount, merchant: DemoStage.shop)
        let others = try await createPayouts(Self.otherCount, merchant: DemoStage.market)
        say("1. Two merchants, \(missed.count + others.count) payouts created. Creating sends nothing.")

        try await transition(others, to: .paid)
        try await DemoClock.until("the first deliveries") { actors.receiver.stats.acknowledged == Self.otherCount }
        say(
            "2. Open Market: \(others.count) payouts paid, \(actors.receiver.stats.acknowledged) webhooks acknowledged."
        )

        actors.receiver.setLosing(true)
        try await transition(missed, to: .paid)
        try await DemoClock.until("the webhooks that get lost") { actors.receiver.stats.lost == Self.missedCount }
        say("3. An outage that no retry repairs: Corner Shop's receiver answers 200, but its database is away.")
        say(
            "   Corner Shop: \(missed.count) payouts paid, \(actors.receiver.stats.lost) acknowledged and lost."
        )

        actors.receiver.setLosing(false)
        say("4. The database is back. All of it is to be sent again, so first the dry run:")
        let request = request(from: before)
        let dryRun = try await actors.shopClient.post(path) { body(request, dryRun: true, &$0) }
        say("   POST \(path) dry_run=true -> \(dryRun.status), total (matched): \(dryRun.body.integer("total"))")

        let jobID = try await dispatch(request)
        try await watch(jobID)
        try await report(jobID, matched: dryRun.body.integer("total"))
    }

    private var path: String { "/v2/payout/notifications/resend" }

    private func say(_ line: String) {
        Terminal.out(line)
    }

    // MARK: - Payouts

    private func createPayouts(_ count: Int64, merchant: Int64) async throws -> [Int64] {
        var ids: [Int64] = []
        let portion: Int64 = 25
        for start in stride(from: Int64(0), to: count, by: Int64.Stride(portion)) {
            ids += try await withThrowingTaskGroup(of: Int64.self) { tasks in
                for index in start..<min(start + portion, count) {
                    tasks.addTask { try await createPayout(index, merchant) }
                }
                return try await tasks.reduce(into: []) { $0.append($1) }
            }
        }
        return ids
    }

    private func createPayout(_ index: Int64, _ merchant: Int64) async throws -> Int64 {
        let answer = try await actors.operatorClient.post("/v2/payout/payments") { writer in
            writer.member("merchant_id", merchant)
            writer.member("payment_method", "PIX")
            writer.member("currency", "BRL")
            writer.member("country", "BR")
            writer.member("amount", number: "\(10 + index).34")
            writer.member("invoice", "demo-\(merchant)-\(index)")
            writer.member("notification_url", "\(actors.receiverURL)/webhooks/\(merchant)")
            writer.object("beneficiary") { writer in
                writer.member("name", "Demo Beneficiary")
                writer.object("document") { writer in
                    writer.member("type", "CPF")
                    writer.member("number", "82608288200")
                }
            }
            writer.object("pix") { $0.member("pix_key", "82608288200") }
        }
        try expect(answer, 201)
        return answer.body.integer("id")
    }

    private func transition(_ ids: [Int64], to status: PayoutStatus) async throws {
        let answer = try await actors.operatorClient.post("/v2/payout/transitions") { writer in
            writer.array("transitions") { writer in
                for id in ids {
                    writer.object { writer in
                        writer.member("id", id)
                        writer.member("status_id", status.id)
                    }
                }
            }
        }
        try expect(answer, 200)
    }

    // MARK: - The resend

    private func request(from: Timestamp) -> ResendWindow {
        ResendWindow(startSeconds: from.seconds - 60, endSeconds: from.seconds + 3_600)
    }

    private func body(_ window: ResendWindow, dryRun: Bool, _ writer: inout JSONWriter) {
        writer.member("merchant_id", DemoStage.shop)
        writer.member("start_time", TimeText.plain(Timestamp(seconds: window.startSeconds)))
        writer.member("end_time", TimeText.plain(Timestamp(seconds: window.endSeconds)))
        writer.array("status_ids") { $0.value(PayoutStatus.paid.id) }
        writer.member("dry_run", dryRun)
    }

    private func dispatch(_ window: ResendWindow) async throws -> String {
        say("5. The job is dispatched, by \(Self.buttonPresses) people at the same moment:")
        let answers = try await withThrowingTaskGroup(of: DemoClient.Answer.self) { tasks in
            for _ in 0..<Self.buttonPresses {
                tasks.addTask { try await actors.shopClient.post(path) { body(window, dryRun: false, &$0) } }
            }
            return try await tasks.reduce(into: []) { $0.append($1) }
        }
        let accepted = answers.filter { $0.status == 202 }
        let refused = answers.filter { $0.status == 409 }
        guard let job = accepted.first, accepted.count + refused.count == answers.count else {
            throw DemoClient.Failed(description: "the dispatch was answered with \(answers.map(\.status))")
        }
        say("   202 x \(accepted.count), 409 x \(refused.count). \(refused.first?.body.text("message") ?? "")")
        say("   job_id \(job.body.text("job_id")), total (matched): \(job.body.integer("total"))")
        return job.body.text("job_id")
    }

    private func watch(_ jobID: String) async throws {
        var shown: Int64 = -1
        let total = Self.missedCount
        try await DemoClock.until("the resend") {
            let acknowledged = Int64(actors.receiver.stats.resends)
            if acknowledged != shown, Terminal.isInteractive {
                Terminal.out("\r   delivered \(Terminal.bar(acknowledged, of: total)) ", terminator: "")
            }
            shown = acknowledged
            return acknowledged >= total
        }
        if Terminal.isInteractive { Terminal.out("") } else { say("   delivered \(Terminal.bar(shown, of: total))") }
        try await DemoClock.until("the end of the job") {
            try await actors.shopClient.get("\(path)/\(jobID)").body.text("status") == "completed"
        }
    }

    private func report(_ jobID: String, matched: Int64) async throws {
        let state = try await actors.shopClient.get("\(path)/\(jobID)")
        guard let resend = try await actors.store.resend(jobID: jobID) else {
            throw DemoClient.Failed(description: "the job is gone")
        }
        try await DemoClock.until("the recording of the last outcome") {
            try await actors.store.resendOutcome(id: resend.id)?.pending == 0
        }
        let outcome = try await actors.store.resendOutcome(id: resend.id)
        let stats = actors.receiver.stats
        say("6. What happened:")
        row("payouts matched by the window", matched)
        row("queued by the job", state.body.integer("queued"))
        row("failed to queue", state.body.integer("failed"))
        row("delivered by the job", outcome?.delivered ?? 0)
        row("undelivered", outcome?.undelivered ?? 0)
        row("webhooks received in all", Int64(stats.received))
        row("lost by the shop during the outage", Int64(stats.lost))
        row("signatures that did not verify", Int64(stats.invalidSignatures))
        row("different webhooks kept", Int64(stats.acknowledgedIDs.count))
        row("kept more than once", Int64(stats.acknowledgedIDs.values.count { $0 > 1 }))
        let isGood =
            outcome?.delivered == Self.missedCount && stats.invalidSignatures == 0
            && stats.acknowledgedIDs.count == Int(Self.missedCount + Self.otherCount)
        guard isGood else { throw DemoClient.Failed(description: "the numbers do not add up") }
        say("Every missed webhook was delivered; every signature was verified.")
    }

    private func row(_ label: String, _ value: Int64) {
        let padding = String(repeating: ".", count: max(1, 40 - label.count))
        say("   \(label) \(padding) \(value)")
    }

    private func expect(_ answer: DemoClient.Answer, _ status: Int) throws {
        guard answer.status == status else {
            throw DemoClient.Failed(
                description: "expected \(status), got \(answer.status): \(answer.body.text("message"))")
        }
    }
}
