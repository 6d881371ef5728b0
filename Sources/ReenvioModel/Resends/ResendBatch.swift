/// A resend over a range longer than one window, or over several merchants: one request, one progress, a job for each
/// window in which something matches (`docs/contract.md` 13.17).
package struct ResendBatchRequest: Equatable, Sendable {
    package enum Merchants: Equatable, Sendable {
        /// Every merchant that the caller may act for, at the time of the request.
        case all
        /// Ascending, each once.
        case named([Int64])
    }

    package var merchants: Merchants
    /// The whole range, both ends included.
    package var range: ResendWindow
    package var statuses: [Int64]
    package var options: ResendOptions
    package var dryRun: Bool
    /// Sends again what an equal request of the last 24 hours has sent.
    package var again: Bool

    package init(
        merchants: Merchants, range: ResendWindow, statuses: [Int64], options: ResendOptions = ResendOptions(),
        dryRun: Bool = false, again: Bool = false
    ) {
        self.merchants = merchants
        self.range = range
        self.statuses = statuses
        self.options = options
        self.dryRun = dryRun
        self.again = again
    }

    /// The whole range of one merchant, which no job has but a count may have.
    package func counting(_ merchantID: Int64) -> ResendRequest {
        request(merchantID, range)
    }

    /// The job of one window.
    package func request(_ merchantID: Int64, _ window: ResendWindow) -> ResendRequest {
        ResendRequest(
            merchantID: merchantID, window: window, product: .payout, statuses: statuses, options: options)
    }

    /// Equal for requests that ask for the same, however they are written.
    package var fingerprint: String {
        let whom =
            switch merchants {
            case .all: "all"
            case .named(let ids): ids.map { String($0) }.joined(separator: ",")
            }
        let statuses = statuses.sorted().map { String($0) }.joined(separator: ",")
        return "\(whom) \(range.startSeconds)-\(range.endSeconds) \(statuses)\(options.auditText)"
    }

    package static func parse(_ object: JSONObject) throws(Faults) -> ResendBatchRequest {
        var fields = FieldReader(object)
        let merchants = fields.batchMerchants()
        let range = ResendWindow.read(
            &fields, longest: Limits.batchRangeSeconds, "The time range must not exceed 31 days.")
        let statuses = ResendRequest.readStatuses(&fields, of: .payout)
        let dryRun = fields.boolean("dry_run") ?? false
        let again = fields.boolean("again") ?? false
        let options = ResendOptions.read(&fields)
        try fields.throwFaults()
        guard let merchants, let range, let statuses else { throw fields.faults }
        return ResendBatchRequest(
            merchants: merchants, range: range, statuses: statuses, options: options, dryRun: dryRun, again: again)
    }
}

extension ResendWindow {
    /// Windows that a job may have, one after the other: no second is in two of them, and none is left out. Each but
    /// the last ends one second before the next begins, because both ends of a window are included.
    package var split: [ResendWindow] {
        var windows: [ResendWindow] = []
        var start = startSeconds
        while endSeconds - start > Limits.resendWindowSeconds {
            windows.append(
                ResendWindow(startSeconds: start, endSeconds: start + Limits.resendWindowSeconds - 1))
            start += Limits.resendWindowSeconds
        }
        return windows + [ResendWindow(startSeconds: start, endSeconds: endSeconds)]
    }
}

extension FieldReader {
    fileprivate mutating func batchMerchants() -> ResendBatchRequest.Merchants? {
        let isAll = boolean("all_merchants") ?? false
        guard let value = value("merchant_ids") else {
            if isAll { return .all }
            missing("merchant_ids")
            return nil
        }
        if isAll {
            fault("all_merchants", "The all_merchants field must not be given with merchant_ids.")
            return nil
        }
        guard case .array(let items) = value, !items.isEmpty else {
            fault("merchant_ids", "The merchant_ids field must be a non-empty array.")
            return nil
        }
        var ids: Set<Int64> = []
        for (index, item) in items.enumerated() {
            guard case .number(let number) = item, let id = number.integer else {
                fault("merchant_ids.\(index)", "The merchant_ids.\(index) field must be an integer.")
                continue
            }
            ids.insert(id)
        }
        if ids.count > Limits.batchMerchants {
            fault("merchant_ids", ResendBatchRequest.tooManyMerchants)
            return nil
        }
        return .named(ids.sorted())
    }
}

extension ResendBatchRequest {
    package static let tooManyMerchants =
        "One resend must not be for more than \(Limits.batchMerchants) merchants."
}

/// A batch as its progress shows it.
package struct ResendBatch: Equatable, Sendable {
    package enum State: String, Sendable {
        case processing, completed, canceled
    }

    package var id: Int64
    package var publicID: String
    /// Nil: an operator's, over merchants of any account.
    package var accountID: Int64?
    package var requestedBy: String
    package var state: State
    package var range: ResendWindow
    package var merchants: Int64
    /// Merchants whose jobs are made.
    package var opened: Int64 = 0
    package var jobs: Int64 = 0
    package var runningJobs: Int64 = 0
    package var failedJobs: Int64 = 0
    package var total: Int64 = 0
    package var queued: Int64 = 0
    package var failed: Int64 = 0
    package var delivered: Int64 = 0
    package var undelivered: Int64 = 0
    package var skipped: Int64 = 0
    package var startedAt: Timestamp
    package var endedAt: Timestamp?

    package init(
        id: Int64, publicID: String, accountID: Int64?, requestedBy: String, state: State, range: ResendWindow,
        merchants: Int64, startedAt: Timestamp, endedAt: Timestamp?
    ) {
        self.id = id
        self.publicID = publicID
        self.accountID = accountID
        self.requestedBy = requestedBy
        self.state = state
        self.range = range
        self.merchants = merchants
        self.startedAt = startedAt
        self.endedAt = endedAt
    }

    package var pending: Int64 { queued - delivered - undelivered - skipped }

    /// Whether nothing of it is made, enqueued or delivered any more.
    package var isOver: Bool { state != .processing && runningJobs == 0 && pending == 0 }

    package var outcome: ResendOutcome {
        ResendOutcome(delivered: delivered, undelivered: undelivered, pending: pending, skipped: skipped)
    }

    package var phase: ResendPhase {
        ResendPhase(batch: state, isStopped: failedJobs > 0, total: total, failed: failed, outcome)
    }

    package func writeMembers(into writer: inout JSONWriter) {
        writer.member("batch_id", publicID)
        writer.member("status", state.rawValue)
        writer.member("start_time", TimeText.plain(Timestamp(seconds: range.startSeconds)))
        writer.member("end_time", TimeText.plain(Timestamp(seconds: range.endSeconds)))
        writer.member("merchants", merchants)
        writer.member("merchants_opened", opened)
        writer.member("jobs", jobs)
        writer.member("jobs_running", runningJobs)
        writer.member("jobs_failed", failedJobs)
        writer.member("total", total)
        writer.member("queued", queued)
        writer.member("failed", failed)
        outcome.write(into: &writer)
        writer.member("requested_by", requestedBy)
        writer.member("started_at", TimeText.zulu(startedAt))
        writer.member("ended_at", endedAt.map(TimeText.zulu))
        writer.member("phase", phase.rawValue)
    }
}

/// What a dry run of a batch counts.
package struct ResendBatchCount: Equatable, Sendable {
    package struct Share: Equatable, Sendable {
        package var merchantID: Int64
        package var total: Int64

        package init(merchantID: Int64, total: Int64) {
            self.merchantID = merchantID
            self.total = total
        }
    }

    /// By merchant; of all merchants those in which something matches.
    package var shares: [Share]
    /// Windows of each merchant.
    package var windows: Int64

    package init(shares: [Share], windows: Int64) {
        self.shares = shares
        self.windows = windows
    }

    package var total: Int64 { shares.reduce(0) { $0 + $1.total } }

    package func writeMembers(into writer: inout JSONWriter) {
        writer.member("total", total)
        writer.member("windows", windows)
        writer.array("by_merchant") { writer in
            for share in shares {
                writer.object { writer in
                    writer.member("merchant_id", share.merchantID)
                    writer.member("total", share.total)
                }
            }
        }
    }
}
