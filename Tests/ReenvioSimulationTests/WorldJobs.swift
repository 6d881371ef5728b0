import ReenvioEngine
import ReenvioModel
import ReenvioStore
import ReenvioTesting

/// What the books know of the jobs of a world.
struct BookedJobs {
    struct Job {
        var id: Int64
        var frozenSet: Set<Int64>
        var options: ResendOptions
        var isCanceled = false
        /// `queued + failed`, as last shown.
        var lastSeen: Int64 = 0
        /// When its attempts began, engine time, ascending.
        var attempts: [Timestamp] = []

        var total: Int64 { Int64(frozenSet.count) }
    }

    private(set) var all: [String: Job] = [:]
    /// Of those that ended so.
    private(set) var canceled = 0
    private(set) var failedCanaries: Set<String> = []

    var pacedAttempts: Int {
        all.values.reduce(0) { $0 + ($1.options.maxPerSecond == nil ? 0 : $1.attempts.count) }
    }

    mutating func open(_ jobID: String, _ job: Job) {
        all[jobID] = job
    }

    mutating func cancel(_ jobID: String) {
        all[jobID]?.isCanceled = true
        canceled += 1
    }

    mutating func noteFailedCanary(_ jobID: String) {
        failedCanaries.insert(jobID)
    }

    /// Nothing of a canceled job begins.
    mutating func sent(_ request: WireRequest, at now: Timestamp) throws {
        guard let jobID = Self.jobID(of: request), var job = all[jobID] else { return }
        if job.isCanceled { throw SimulationFault("an attempt of the canceled job \(jobID) began") }
        job.attempts.append(now)
        all[jobID] = job
    }

    /// A connection was not to be had: no attempt after all.
    mutating func neverSent(_ request: WireRequest, at now: Timestamp) {
        guard let jobID = Self.jobID(of: request) else { return }
        all[jobID]?.attempts.removeLast()
    }

    mutating func see(_ done: Int64, of jobID: String) {
        all[jobID]?.lastSeen = done
    }

    private static func jobID(of request: WireRequest) -> String? {
        var lines = HeaderLines()
        request.lateHeaders(&lines)
        return lines.pairs.first { $0.name == "x-webhook-resend" }?.value
    }

    /// Over any stretch of time a paced job begins no more than its pace allows, but for slots that come due together
    /// or may be used late, and a probe of a broken receiver every 5 s.
    func checkPaces() throws {
        for (jobID, job) in all {
            guard let pace = job.options.maxPerSecond else { continue }
            let times = job.attempts
            for (first, start) in times.enumerated() {
                for last in first..<times.count {
                    let seconds = Double((times[last] - start).microseconds) / 1_000_000
                    let allowed = Double(pace) * (seconds + 0.45) + 1 + (seconds / 5 + 1) * 3
                    guard Double(last - first + 1) <= allowed else {
                        throw SimulationFault("job \(jobID), \(pace) a second: \(last - first + 1) in \(seconds) s")
                    }
                }
            }
        }
    }
}

extension World {
    func openResend() async throws {
        let now = clock.wall.seconds
        let start = now - Int64.random(in: 0...5, using: &random) * 60 - Int64.random(in: 0...90, using: &random)
        let window = ResendWindow(startSeconds: start, endSeconds: start + Int64.random(in: 1...900, using: &random))
        let statuses = PayoutStatus.notifiable.filter { _ in Bool.random(using: &random) }
        let request = ResendRequest(
            merchantID: pick(Self.merchants), window: window, statuses: statuses.isEmpty ? [.paid] : statuses,
            options: anyOptions()
        )
        let expected = try await frozenSet(request)
        try await checkCount(request, expected)
        let opening = ResendOpening(
            accountID: Fixtures.accountID, jobID: Resend.newJobID(using: &random),
            requester: Requester(actor: "simulation")
        )
        guard let resend = try await store.openResend(request, opening, now: clock.wall).resend else { return }
        guard resend.total == Int64(expected.count) else {
            throw SimulationFault("dispatch counted \(resend.total), by hand \(expected.count)")
        }
        jobs.open(
            opening.jobID, BookedJobs.Job(id: resend.id, frozenSet: expected, options: request.options))
    }

    private func anyOptions() -> ResendOptions {
        ResendOptions(
            onlyUnacknowledged: Int.random(in: 0..<10, using: &random) < 3,
            maxPerSecond: Int.random(in: 0..<10, using: &random) < 3 ? pick([5, 50, 1_000]) : nil,
            canary: Int.random(in: 0..<10, using: &random) < 2 ? Int64.random(in: 1...40, using: &random) : nil)
    }

    /// A dry run and an explained one say what the books say.
    private func checkCount(_ request: ResendRequest, _ expected: Set<Int64>) async throws {
        let counted = try await store.countMatching(request)
        guard counted == Int64(expected.count) else {
            throw SimulationFault("a dry run counted \(counted), by hand \(expected.count)")
        }
        let explained = try await store.explain(request, engine.explainRules)
        let missed = explained.notMatched
        let inWindow = payouts.values.count { payout in
            payout.merchantID == request.merchantID && request.window.contains(payout.changedSecond)
        }
        let told =
            explained.total + missed.noURL + missed.notNotifiableNow + missed.otherStatus + (missed.acknowledged ?? 0)
        guard explained.total == counted, told == Int64(inWindow),
            explained.byStatus.reduce(0, { $0 + $1.total }) == counted,
            explained.byReceiver.reduce(explained.others, { $0 + $1.total }) == counted
        else { throw SimulationFault("\(inWindow) in the window, \(counted) match, explained as \(explained)") }
    }

    /// `docs/contract.md` 4.2 and 13.5, by brute force over the books; what was acknowledged is the payouts' to say.
    private func frozenSet(_ request: ResendRequest) async throws -> Set<Int64> {
        var acknowledged: Set<Int64> = []
        if request.options.onlyUnacknowledged {
            acknowledged = Set(
                try await store.rows(
                    """
                    SELECT p.id FROM payouts p JOIN notifications n ON n.id = p.latest_notification_id
                    WHERE n.acked_at IS NOT NULL
                    """, columns: 1
                ).map { $0[0] })
        }
        return Set(
            payouts.filter { id, payout in
                payout.merchantID == request.merchantID && payout.hasURL && request.statuses.contains(payout.status.id)
                    && request.window.contains(payout.changedSecond) && !acknowledged.contains(id)
            }.keys
        )
    }

    func cancelResend() async throws {
        guard !jobs.all.isEmpty else { return }
        let jobID = pick(jobs.all.keys.sorted())
        let canceled = try await engine.cancelResend(
            jobID: jobID, accountID: nil, by: Requester(actor: "simulation"))
        guard case .canceled = canceled else { return }
        jobs.cancel(jobID)
        let outcome = try await store.resendDetails(jobID: jobID)?.outcome
        guard outcome?.pending == 0 else { throw SimulationFault("canceled, and \(String(describing: outcome))") }
    }

    /// Holds at every moment.
    func checkJobs() async throws {
        try jobs.checkPaces()
        for (jobID, booked) in jobs.all {
            guard let details = try await store.resendDetails(jobID: jobID) else {
                throw SimulationFault("job \(jobID) is gone")
            }
            let (resend, outcome) = (details.resend, details.outcome)
            let done = resend.queued + resend.failed
            guard done >= booked.lastSeen, done <= booked.total else {
                throw SimulationFault("job \(jobID) shows \(done) of \(booked.total) after \(booked.lastSeen)")
            }
            jobs.see(done, of: jobID)
            let sum = outcome.delivered + outcome.undelivered + outcome.pending + outcome.skipped
            guard sum == resend.queued, outcome.pending >= 0 else {
                throw SimulationFault("job \(jobID) queued \(resend.queued): \(outcome)")
            }
            if let canary = booked.options.canary { try await checkCanary(resend, canary) }
            if resend.reason?.hasPrefix("Canary failed") == true { jobs.noteFailedCanary(jobID) }
        }
    }

    /// While it is not decided nothing follows it.
    private func checkCanary(_ resend: Resend, _ canary: Int64) async throws {
        let isPassed = try await store.number("SELECT canary_passed FROM resends WHERE id = $1", [.int(resend.id)])
        guard isPassed == 1 || resend.queued <= canary else {
            throw SimulationFault("job \(resend.jobID) queued \(resend.queued) with a canary of \(canary) undecided")
        }
    }

    /// Holds once everything has settled.
    func checkEndedJobs() async throws {
        for (jobID, booked) in jobs.all {
            let resend = try await store.resend(jobID: jobID)
            let sent = try await store.rows(
                "SELECT object_id FROM settled WHERE resend_id = $1", columns: 1, [.int(booked.id)]
            ).map { $0[0] }
            guard sent.count == Set(sent).count, Set(sent).isSubset(of: booked.frozenSet) else {
                throw SimulationFault("job \(jobID) sent something twice, or what was not frozen")
            }
            if booked.isCanceled || jobs.failedCanaries.contains(jobID) { continue }
            guard resend?.state == .completed, resend?.queued == booked.total, Set(sent) == booked.frozenSet else {
                throw SimulationFault("job \(jobID) ended as \(String(describing: resend))")
            }
        }
    }
}
