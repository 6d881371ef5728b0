package import Logging
package import ReenvioModel
package import ReenvioStore

/// Makes one attempt: *request, send, classify, decide*. What follows is `Delivery.after`'s to say, and the recorder's
/// to write.
package struct Courier: Sendable {
    private static let userAgent = "Reenvio/1.0"

    private let transport: any Transport
    private let recorder: OutcomeRecorder
    private let policy: AddressPolicy
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
        self.policy = policy
        self.schedule = schedule
        self.clock = clock
        self.entropy = entropy
        self.logger = logger
    }

    /// Starts the attempt and returns; the recorder gets exactly one record for it.
    package func start(_ claimed: ClaimedDelivery, secrets: MerchantSecrets?, startBy: ContinuousClock.Instant) {
        let attempt = Attempt(claimed: claimed, attemptID: entropy.bytes(16), preparedAt: clock.wall)
        guard let secrets, !secrets.signing.isEmpty else {
            // Without its secret the message cannot be signed; it stays due, and an operator sees why.
            logger.error("a delivery cannot be signed; it waits", metadata: ["merchant": "\(claimed.merchantID)"])
            let due = clock.engine + .seconds(Limits.leaseSeconds)
            return record(attempt, .zero, outcome: nil, answer: [], next: .release(due: due))
        }
        guard let url = try? ReceiverURL(parsing: claimed.url, policy: policy) else {
            return finish(attempt, .failed(.addressForbidden), .zero)
        }
        let request = WireRequest(
            url: url, merchantID: claimed.merchantID, headers: headers(attempt, secrets), body: claimed.body,
            startBy: startBy
        )
        transport.send(request) { result, duration in finish(attempt, result, duration) }
    }

    /// Gives a claimed delivery back unsent; it comes due again at once.
    package func release(_ claimed: ClaimedDelivery) {
        let attempt = Attempt(claimed: claimed, attemptID: entropy.bytes(16), preparedAt: clock.wall)
        record(attempt, .zero, outcome: nil, answer: [], next: .release(due: clock.engine))
    }

    /// Lets running attempts end and gives back those that wait; every started attempt has its record when it returns.
    package func stop() async {
        await transport.shutdown()
    }

    private struct Attempt: Sendable {
        var claimed: ClaimedDelivery
        var attemptID: [UInt8]
        /// Wall time at which the request was made, which the signature carries.
        var preparedAt: Timestamp
    }

    /// The headers of `docs/contract.md` 3.2.
    private func headers(_ attempt: Attempt, _ secrets: MerchantSecrets) -> [(name: String, value: String)] {
        let claimed = attempt.claimed
        let webhookID = claimed.webhookID.description
        let timestamp = attempt.preparedAt.seconds
        let signature = WebhookSignature.standard(
            webhookID: webhookID, timestamp: timestamp, body: claimed.body, keys: secrets.signing.map(\.key)
        )
        let compat = WebhookSignature.compat(
            invoice: claimed.invoice, amount: claimed.amount, compatKey: secrets.compatKey
        )
        var headers: [(name: String, value: String)] = [
            ("content-type", "application/json"),
            ("user-agent", Self.userAgent),
            ("webhook-id", webhookID),
            ("webhook-timestamp", String(timestamp)),
            ("webhook-signature", signature),
            ("x-webhook-wp-signature", compat),
            ("x-webhook-attempt", String(claimed.attempt)),
            ("x-webhook-attempt-id", Hex.text(attempt.attemptID)),
            ("x-webhook-sequence", String(claimed.sequence)),
        ]
        if let job = claimed.resendPublicID { headers.append(("x-webhook-resend", job)) }
        return headers
    }

    private func finish(_ attempt: Attempt, _ result: WireResult, _ duration: Duration) {
        let outcome: AttemptOutcome
        var answer: [UInt8] = []
        switch result {
        case .notStarted:
            return record(attempt, .zero, outcome: nil, answer: [], next: .release(due: clock.engine))
        case .answered(let wire):
            outcome = AttemptOutcome(statusCode: wire.statusCode, retryAfter: wire.retryAfter)
            answer = wire.body
        case .failed(let failure):
            outcome = .failed(failure)
        }
        var generator = EntropyGenerator(entropy)
        let decided = Delivery.after(
            outcome, attempt: attempt.claimed.attempt, schedule: schedule, now: clock.wall, using: &generator
        )
        let next: AttemptRecord.Next =
            switch decided {
            case .end(let end): .end(end)
            case .retry(let wait): .retry(due: clock.engine + wait)
            }
        log(attempt, outcome, duration)
        record(attempt, duration, outcome: outcome, answer: answer, next: next)
    }

    private func record(
        _ attempt: Attempt, _ duration: Duration, outcome: AttemptOutcome?, answer: [UInt8], next: AttemptRecord.Next
    ) {
        recorder.append(
            AttemptRecord(
                claimed: attempt.claimed, attemptID: attempt.attemptID, startedAt: clock.wall - duration,
                duration: duration, statusCode: outcome?.statusCode, reason: outcome?.reason, answer: answer, next: next
            ))
    }

    /// One wide line per attempt: ids and outcome, nothing of the payload or the URL.
    private func log(_ attempt: Attempt, _ outcome: AttemptOutcome, _ duration: Duration) {
        guard logger.logLevel <= .info else { return }
        var metadata: Logger.Metadata = [
            "merchant": "\(attempt.claimed.merchantID)",
            "payout": "\(attempt.claimed.payoutID)",
            "webhook": "\(attempt.claimed.webhookID)",
            "attempt": "\(attempt.claimed.attempt)",
            "duration_ms": "\(duration.milliseconds)",
        ]
        metadata["status"] = outcome.statusCode.map { "\($0)" }
        metadata["reason"] = outcome.reason.map { "\($0.rawValue)" }
        metadata["resend"] = attempt.claimed.resendPublicID.map { "\($0)" }
        logger.info("attempt", metadata: metadata)
    }
}
