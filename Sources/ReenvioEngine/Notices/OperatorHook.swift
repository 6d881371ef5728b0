package import Logging
package import ReenvioModel
import Synchronization

/// Tells the operator's own URL what happened, signed, over the wire of all deliveries and by their schedule. Notices
/// stand in memory: what a kill takes away is in the log and the metrics all the same, and nothing waits for them.
package final class OperatorHook: Stepping {
    /// Where notices go, and what signs them.
    package struct Target: Sendable {
        package var url: ReceiverURL
        package var secret: SigningSecret

        package init(url: ReceiverURL, secret: SigningSecret) {
            self.url = url
            self.secret = secret
        }
    }

    private struct Waiting {
        var notice: OperatorNotice
        var webhookID: WebhookID
        var attempt = 1
        /// Engine time.
        var due: Timestamp
    }

    private struct State {
        var waiting: [Waiting] = []
        var underWay = 0
        var dropped = 0
    }

    private static let waitingMax = 1_000
    private static let atOnceMax = 8
    private static let idleWait: Duration = .seconds(60)
    /// Merchants are numbered from 1: the wire keeps the operator's connections apart from theirs.
    private static let ownNumber: Int64 = 0

    package let name = "operator notices"
    package let doorbell = Doorbell()
    private let state = Mutex(State())
    private let target: Target?
    private let signer: WebhookSigner?
    private let transport: any Transport
    private let schedule: RetrySchedule
    private let clock: any TimeSource
    private let entropy: any Entropy
    private let logger: Logger

    package init(
        _ target: Target?, transport: any Transport, schedule: RetrySchedule, clock: any TimeSource,
        entropy: any Entropy, logger: Logger
    ) {
        self.target = target
        signer = target.flatMap { WebhookSigner(secrets: [$0.secret], compatKey: "") }
        self.transport = transport
        self.schedule = schedule
        self.clock = clock
        self.entropy = entropy
        self.logger = logger
    }

    /// Takes a notice; never waits. With nobody to tell, nothing is kept.
    package func post(_ notices: [OperatorNotice]) {
        guard target != nil, !notices.isEmpty else { return }
        let due = clock.engine
        let isFull = state.withLock { state in
            for notice in notices {
                guard state.waiting.count < Self.waitingMax else {
                    state.dropped += 1
                    continue
                }
                state.waiting.append(
                    Waiting(notice: notice, webhookID: WebhookID(id: 0, nonce: entropy.next()), due: due))
            }
            return state.dropped > 0
        }
        if isFull { logger.warning("operator notices are dropped: too many wait") }
        doorbell.ring()
    }

    package func step(now: Moment) async throws -> Step {
        guard let target, let signer else { return .wait(Self.idleWait) }
        let (due, wait) = state.withLock { state -> ([Waiting], Duration) in
            state.dropped = 0
            var due: [Waiting] = []
            var rest: [Waiting] = []
            for one in state.waiting {
                if one.due <= now.engine, state.underWay < Self.atOnceMax {
                    state.underWay += 1
                    due.append(one)
                } else {
                    rest.append(one)
                }
            }
            state.waiting = rest
            let next = rest.map(\.due).min().map { max(.milliseconds(10), $0 - now.engine) }
            return (due, state.underWay >= Self.atOnceMax ? Self.idleWait : next ?? Self.idleWait)
        }
        for one in due {
            transport.send(request(one, target, signer)) { result, _ in self.finish(one, result) }
        }
        return .wait(wait)
    }

    package func finish() async {}

    private func request(_ one: Waiting, _ target: Target, _ signer: WebhookSigner) -> WireRequest {
        let body = one.notice.body
        let clock = clock
        let attemptID = Hex.text(entropy.bytes(16))
        return WireRequest(
            url: target.url, merchantID: Self.ownNumber, headers: [],
            lateHeaders: { lines in
                let timestamp = clock.wall.seconds
                let webhookID = one.webhookID.description
                lines.add("content-type", "application/json")
                lines.add("user-agent", Courier.userAgent)
                lines.add("webhook-id", webhookID)
                lines.add("webhook-timestamp", timestamp)
                lines.add(
                    "webhook-signature", signer.standard(webhookID: webhookID, timestamp: timestamp, body: body))
                lines.add("x-webhook-attempt", Int64(one.attempt))
                lines.add("x-webhook-attempt-id", attemptID)
            }, body: body, startBy: .now + .seconds(Limits.startWithinSeconds))
    }

    /// As for every delivery: exactly 200 acknowledges, anything else is tried again by the schedule.
    private func finish(_ one: Waiting, _ result: WireResult) {
        var reason: AttemptFailure?
        switch result {
        case .answered(let wire): reason = AttemptOutcome(statusCode: wire.statusCode, retryAfter: nil).reason
        case .failed(let failure): reason = failure
        case .notStarted: reason = .timedOut
        }
        var generator = EntropyGenerator(entropy)
        let wait = reason == nil ? nil : schedule.wait(afterAttempt: one.attempt, using: &generator)
        state.withLock { state in
            state.underWay -= 1
            guard let wait else { return }
            var next = one
            next.attempt += 1
            next.due = clock.engine + wait
            state.waiting.append(next)
        }
        if let reason, wait == nil {
            logger.warning(
                "an operator notice could not be delivered",
                metadata: ["type": "\(one.notice.type)", "reason": "\(reason.rawValue)"])
        }
        doorbell.ring()
    }
}
