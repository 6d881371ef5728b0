package import Logging
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Makes one attempt: *request, send, classify, decide*. What follows is `Delivery.after`'s to say, and the recorder's
/// to write.
package final class Courier: Sendable {
    static let userAgent = "Reenvio/1.0"
    private static let parkedWithin: Duration = .seconds(2)
    private static let crowdedWait: Duration = .milliseconds(250)
    /// How long a delivery waits that this machine could not attempt, and how much longer at most: not all at once.
    private static let shortWait: Duration = .milliseconds(750)
    private static let shortSpread: UInt64 = 500

    private let transport: any Transport
    private let recorder: OutcomeRecorder
    private let targets: Targets
    private let gates = StartGates()
    private let canceled = CancelGate()
    private let unsigned = Mutex(FailureNotes())
    private let schedule: RetrySchedule
    private let clock: any TimeSource
    private let entropy: any Entropy
    private let logger: Logger

    package init(
        transport: any Transport, recorder: OutcomeRecorder, policy: AddressPolicy, schedule: RetrySchedule,
        clock: any TimeSource, entropy: any Entropy, logger: Logger
    ) {
        self.transport = transport
        self.recorder = recorder
        targets = Targets(policy: policy)
        self.schedule = schedule
        self.clock = clock
        self.entropy = entropy
        self.logger = logger
    }

    /// Starts the attempts and returns; the recorder gets exactly one record for each. `signers` are those of the
    /// merchants, `ahead` the deliveries that do not wait for a connection behind others.
    package func start(
        _ claimed: [ClaimedDelivery], ahead: Set<Int64> = [], signers: [Int64: WebhookSigner],
        startBy: ContinuousClock.Instant
    ) {
        var jobs: [Job] = []
        jobs.reserveCapacity(claimed.count)
        let attemptIDs = AttemptIDs(entropy)
        for (index, delivery) in claimed.enumerated() {
            guard let signer = signers[delivery.merchantID] else {
                // Without its secret the message cannot be signed; it stays due, and an operator sees why.
                noteUnsigned(delivery.merchantID)
                release(delivery, due: clock.engine + .seconds(Limits.leaseSeconds))
                continue
            }
            let gate = gates.gate(of: delivery.queue.receiverID)
            guard mayBegin(delivery, gate) else {
                release(delivery)
                continue
            }
            let target = targets.find(delivery.url)
            let attempt = Attempt(
                claimed: delivery, attemptID: attemptIDs[index], signer: signer, origin: target?.origin, gate: gate,
                trace: Self.trace(of: delivery, attemptID: attemptIDs[index]))
            guard let target else {
                finish(attempt, .failed(.addressForbidden), .zero)
                continue
            }
            guard target.origin.enter() else {
                crowdOut(delivery)
                continue
            }
            jobs.append(job(attempt, to: target.url, isAhead: ahead.contains(delivery.id), startBy: startBy))
        }
        transport.send(jobs)
    }

    /// Each of its deliveries comes here twice a minute: one line a minute says it.
    private func noteUnsigned(_ merchantID: Int64) {
        let count = unsigned.withLock { $0.failed("\(merchantID)", now: .now) }
        guard let count else { return }
        logger.error(
            "deliveries cannot be signed; they wait",
            metadata: ["merchant": "\(merchantID)", "count": "\(count)"])
    }

    /// What an attempt sends: its own span, in the trace that led to it or in a new one named after the attempt.
    private static func trace(of claimed: ClaimedDelivery, attemptID: [UInt8]) -> TraceParent {
        let spanID = Hex.text(attemptID.suffix(8))
        return claimed.trace?.from(spanID: spanID)
            ?? TraceParent(traceID: Hex.text(attemptID), spanID: spanID, isSampled: false)
    }

    private func job(
        _ attempt: Attempt, to url: ReceiverURL, isAhead: Bool, startBy: ContinuousClock.Instant
    ) -> Job {
        let claimed = attempt.claimed
        let request = WireRequest(
            url: url, merchantID: claimed.merchantID, lane: claimed.queue.lane,
            headers: [], lateHeaders: { self.writeHeaders(attempt, &$0) }, body: claimed.body, startBy: startBy,
            isAhead: isAhead, mayBegin: { self.mayBegin(claimed, attempt.gate) }
        )
        return Job(request: request) { result, duration in self.finish(attempt, result, duration) }
    }

    /// Nothing more begins to the receiver for a moment: until its queues are parked and what was claimed before that
    /// has come back.
    package func hold(_ receiverID: Int64) {
        gates.gate(of: receiverID).park(until: clock.engine + Self.parkedWithin)
    }

    /// The receiver's queues are open again, or were not parked after all.
    package func reopen(_ receiverID: Int64) {
        gates.gate(of: receiverID).unpark()
    }

    /// Ends a hold early, whatever the receiver asked for.
    package func resume(_ receiverID: Int64) {
        gates.gate(of: receiverID).open()
    }

    /// Nothing more begins of this resend.
    package func cancel(resendID id: Int64) {
        canceled.add(id)
    }

    /// The jobs of which nothing may begin now, as the store says.
    package func noteCanceled(_ ids: Set<Int64>) {
        canceled.replace(ids)
    }

    /// A probe goes through an open breaker, and so through the gate that was closed with it.
    private func mayBegin(_ claimed: ClaimedDelivery, _ gate: StartGate) -> Bool {
        !canceled.contains(claimed.resendID) && (claimed.isProbe || !gate.isClosed { clock.engine })
    }

    /// Gives a claimed delivery back unsent; it comes due again at once.
    package func release(_ claimed: ClaimedDelivery) {
        release(claimed, due: clock.engine)
    }

    /// Lets running attempts end and gives back those that wait; every started attempt has its record when it returns.
    package func stop() async {
        await transport.shutdown()
    }

    private final class Attempt: Sendable {
        let claimed: ClaimedDelivery
        let attemptID: [UInt8]
        let signer: WebhookSigner
        /// Where it counts while it is under way; nil where it never is.
        let origin: OriginGate?
        let gate: StartGate
        let trace: TraceParent

        init(
            claimed: ClaimedDelivery, attemptID: [UInt8], signer: WebhookSigner, origin: OriginGate?, gate: StartGate,
            trace: TraceParent
        ) {
            self.trace = trace
            self.claimed = claimed
            self.attemptID = attemptID
            self.signer = signer
            self.origin = origin
            self.gate = gate
        }
    }

    /// The headers of `docs/contract.md` 3.2, signed with the time at which the request goes out.
    private func writeHeaders(_ attempt: Attempt, _ lines: inout HeaderLines) {
        let claimed = attempt.claimed
        let webhookID = claimed.webhookID.description
        let timestamp = clock.wall.seconds
        lines.add("content-type", "application/json")
        lines.add("user-agent", Self.userAgent)
        lines.add("webhook-id", webhookID)
        lines.add("webhook-timestamp", timestamp)
        lines.add(
            "webhook-signature",
            attempt.signer.standard(webhookID: webhookID, timestamp: timestamp, body: claimed.body))
        switch claimed.message {
        case .payout(_, let invoice, let amount):
            lines.add("x-webhook-wp-signature", attempt.signer.compat(invoice: invoice, amount: amount))
        case .event(let event):
            // docs/contract.md 6.5: what its registration asks for.
            if let token = event.authorization { lines.add("authorization", token) }
            if let key = event.functionsKey { lines.add("x-functions-key", key) }
        }
        lines.add("x-webhook-attempt", Int64(claimed.attempt))
        lines.add("x-webhook-attempt-id", Hex.text(attempt.attemptID))
        lines.add("x-webhook-sequence", claimed.sequence)
        if let job = claimed.resendPublicID { lines.add("x-webhook-resend", job) }
        lines.add("traceparent", attempt.trace.text)
    }

    private func finish(_ attempt: Attempt, _ result: WireResult, _ duration: Duration) {
        attempt.origin?.leave()
        guard let outcome = result.outcome else {
            if case .shortage = result { return releaseShort(attempt.claimed) }
            return release(attempt.claimed)
        }
        let now = clock.wall
        var generator = EntropyGenerator(entropy)
        let decided = Delivery.after(
            outcome, attempt: attempt.claimed.attempt,
            schedule: attempt.claimed.isLogResend ? .logResend : schedule, now: now, using: &generator
        )
        let next: AttemptRecord.Next =
            switch decided {
            case .end(let end): .end(end)
            case .retry(let wait): .retry(due: clock.engine + wait)
            }
        let hold = outcome.hold(now: now)
        if let hold, hold > .zero { attempt.gate.hold(until: clock.engine + hold) }
        log(attempt, outcome, duration, decided)
        var record = AttemptRecord(
            claimed: attempt.claimed, attemptID: attempt.attemptID, startedAt: now - duration, duration: duration,
            statusCode: outcome.statusCode, reason: outcome.reason, answer: [], next: next, hold: hold)
        if case .answered(let answer) = result {
            record.answer = answer.body
            record.location = answer.location
        }
        recorder.append(record)
    }

    /// This machine lacked what the attempt needs: back, nothing spent, and soon again.
    private func releaseShort(_ claimed: ClaimedDelivery) {
        let spread = Duration.milliseconds(Int64(entropy.next() % Self.shortSpread))
        release(claimed, due: clock.engine + Self.shortWait + spread)
    }

    /// Its origin is busy with as much as it may have, over all merchants: back, and soon again.
    private func crowdOut(_ claimed: ClaimedDelivery) {
        var record = releasing(claimed, due: clock.engine + Self.crowdedWait)
        record.isCrowdedOut = true
        recorder.append(record)
    }

    private func release(_ claimed: ClaimedDelivery, due: Timestamp) {
        recorder.append(releasing(claimed, due: due))
    }

    private func releasing(_ claimed: ClaimedDelivery, due: Timestamp) -> AttemptRecord {
        AttemptRecord(
            claimed: claimed, attemptID: [], startedAt: clock.wall, duration: .zero, statusCode: nil, reason: nil,
            answer: [], next: .release(due: due)
        )
    }

    /// One wide line per attempt: ids and outcome, nothing of the payload or the URL.
    private func log(
        _ attempt: Attempt, _ outcome: AttemptOutcome, _ duration: Duration, _ next: Delivery.Next
    ) {
        guard logger.logLevel <= .info else { return }
        let claimed = attempt.claimed
        var metadata: Logger.Metadata = [
            "merchant": "\(claimed.merchantID)",
            "webhook": "\(claimed.webhookID)",
            "sequence": "\(claimed.sequence)",
            "receiver": "\(claimed.queue.receiverID)",
            "delivery": "\(claimed.id)",
            "lane": "\(claimed.queue.lane)",
            "attempt": "\(claimed.attempt)",
            "attempt_id": "\(Hex.text(attempt.attemptID))",
            "duration_ms": "\(duration.milliseconds)",
            "trace": "\(attempt.trace.traceID)",
        ]
        switch claimed.message {
        case .payout(let id, _, _): metadata["payout"] = "\(id)"
        case .event(let event):
            metadata[event.category == .cashOut ? "payout" : "qr_code"] = "\(event.objectID)"
            metadata["event"] = "\(event.id)"
            metadata["registration"] = "\(event.registrationID)"
        }
        metadata["status"] = outcome.statusCode.map { "\($0)" }
        metadata["reason"] = outcome.reason.map { "\($0.rawValue)" }
        metadata["resend"] = claimed.resendPublicID.map { "\($0)" }
        if let probe = claimed.probe { metadata["probe"] = "\(probe)" }
        switch next {
        case .end(let end): metadata["next"] = "\(end.rawValue)"
        case .retry(let wait):
            metadata["next"] = "retry"
            metadata["retry_after_ms"] = "\(wait.milliseconds)"
        }
        logger.info("attempt", metadata: metadata)
    }
}

/// The attempt ids of one batch: 128 random bits and the place in the batch, mixed. They name attempts and protect
/// nothing, so the system is asked for random bits once a batch and not once an attempt.
private struct AttemptIDs {
    private let high: UInt64
    private let low: UInt64

    init(_ entropy: any Entropy) {
        high = entropy.next()
        low = entropy.next()
    }

    /// 16 bytes.
    subscript(index: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(16)
        // An odd factor: different places never give the same low half.
        for half in [high, low &+ UInt64(index) &* 0x9E37_79B9_7F4A_7C15] {
            for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: half >> shift)) }
        }
        return bytes
    }
}
