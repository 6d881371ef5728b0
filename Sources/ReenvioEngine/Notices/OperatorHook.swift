package import Logging
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Tells the operator's own URL what happened, signed, over the wire of all deliveries and by their schedule. Notices
/// are written by the commits that cause them; here they are claimed, sent, and taken off the list once they are
/// acknowledged. Nodes share the work.
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

    private struct State {
        /// What attempts came to and is not written yet.
        var results: [NoticeResult] = []
        var underWay = 0
        /// Whether something was written here since the last claim.
        var isNews = true
        var lookedAt: Timestamp?
    }

    /// What other nodes wrote is found so late where they could not say it.
    private static let idleWait: Duration = .seconds(5)
    private static let nobodyWait: Duration = .seconds(60)
    /// Other nodes ring for work of every kind: they are listened to no more often than this.
    private static let lookEvery: Duration = .milliseconds(250)
    private static let releasedWait: Duration = .seconds(1)
    /// Merchants are numbered from 1: the wire keeps the operator's connections apart from theirs.
    private static let ownNumber: Int64 = 0

    package let name = "operator notices"
    package let doorbell = Doorbell()
    private let state = Mutex(State())
    private let suspicion = Mutex(Suspicion())
    private let target: Target?
    private let signer: WebhookSigner?
    private let store: Store
    private let transport: any Transport
    private let schedule: RetrySchedule
    private let clock: any TimeSource
    private let entropy: any Entropy
    private let logger: Logger

    package init(
        _ target: Target?, store: Store, transport: any Transport, schedule: RetrySchedule, clock: any TimeSource,
        entropy: any Entropy, logger: Logger
    ) {
        self.target = target
        signer = target.flatMap { WebhookSigner(secrets: [$0.secret], compatKey: "") }
        self.store = store
        self.transport = transport
        self.schedule = schedule
        self.clock = clock
        self.entropy = entropy
        self.logger = logger
        store.outbox?.onWrite { [weak self] in self?.noteNews() }
    }

    private func noteNews() {
        state.withLock { $0.isNews = true }
        doorbell.ring()
    }

    package func step(now: Moment) async throws -> Step {
        guard let target, let signer else { return .wait(Self.nobodyWait) }
        if let dropped = store.outbox?.takeDropped(), dropped > 0 {
            logger.warning("operator notices are left out: too many wait", metadata: ["count": "\(dropped)"])
        }
        if let wait = try await timeToLook(now: now.engine) { return .wait(wait) }
        let (results, room) = state.withLock { state in
            defer { (state.results, state.isNews) = ([], false) }
            return (state.results, Limits.noticesAtOnce - state.underWay)
        }
        let taken: NoticesTaken
        do {
            taken = try await store.settleNotices(results, claim: order(now, room: room))
        } catch {
            guard suspicion.withLock({ $0.failed(error, now: now.engine) }) else {
                state.withLock { $0.results = results + $0.results }
                throw error
            }
            try await settleApart(results, after: error, now: now.engine)
            return .again
        }
        suspicion.withLock { $0.succeeded() }
        if taken.expired > 0 {
            logger.warning("operator notices were too old to be sent", metadata: ["count": "\(taken.expired)"])
        }
        state.withLock { $0.underWay += taken.notices.count }
        for notice in taken.notices {
            transport.send(request(notice, target, signer)) { result, _ in self.finish(notice, result) }
        }
        guard taken.notices.count < room, let due = taken.nextDue else { return .wait(Self.idleWait) }
        return .wait(untilDue(due, now: now.engine))
    }

    /// Writes results one by one; one that cannot be written is left out, and its notice goes out once more.
    private func settleApart(_ results: [NoticeResult], after error: any Error, now: Timestamp) async throws {
        let written = await Apart.write(results) { part in
            _ = try await self.store.settleNotices(part, claim: nil)
        }
        state.withLock { $0.results = written.left + $0.results }
        for bad in written.bad {
            suspicion.withLock { $0.found(now: now) }
            logger.error(
                "the result of an operator notice cannot be written; it is left out",
                metadata: ["webhook": "\(bad.item.notice.webhookID)", "error": "\(bad.why)"])
        }
        // Nothing was wrong with the results: it is the claim that fails.
        if let left = written.error ?? (written.bad.isEmpty ? error : nil) { throw left }
    }

    /// Writes what came back last, after everything was sent.
    package func finish() async {
        let results = state.withLock { $0.results }
        if results.isEmpty { return }
        do {
            _ = try await store.settleNotices(results, claim: nil)
        } catch {
            logger.error(
                "results of operator notices could not be recorded at shutdown; they are sent again",
                metadata: ["count": "\(results.count)", "error": "\(error)"])
        }
    }

    /// How long to wait for something to do; nil where there is something. A look costs one read by a key.
    private func timeToLook(now: Timestamp) async throws -> Duration? {
        let (isBusy, lookedAt) = state.withLock { ($0.isNews || !$0.results.isEmpty, $0.lookedAt) }
        if isBusy { return nil }
        if let lookedAt, now - lookedAt < Self.lookEvery { return Self.lookEvery - (now - lookedAt) }
        state.withLock { $0.lookedAt = now }
        guard let due = try await store.nextNoticeDue() else { return Self.idleWait }
        return due <= now ? nil : untilDue(due, now: now)
    }

    private func untilDue(_ due: Timestamp, now: Timestamp) -> Duration {
        max(.milliseconds(10), min(Self.idleWait, due - now))
    }

    private func order(_ now: Moment, room: Int) -> NoticeOrder? {
        guard room > 0 else { return nil }
        return NoticeOrder(
            now: now.engine, leaseUntil: now.engine + .seconds(Limits.leaseSeconds), wall: clock.expiry, limit: room)
    }

    private func request(_ one: ClaimedNotice, _ target: Target, _ signer: WebhookSigner) -> WireRequest {
        let clock = clock
        let attemptID = Hex.text(entropy.bytes(16))
        let webhookID = one.webhookID.description
        return WireRequest(
            url: target.url, merchantID: Self.ownNumber, headers: [],
            lateHeaders: { lines in
                let timestamp = clock.wall.seconds
                lines.add("content-type", "application/json")
                lines.add("user-agent", Courier.userAgent)
                lines.add("webhook-id", webhookID)
                lines.add("webhook-timestamp", timestamp)
                lines.add(
                    "webhook-signature",
                    signer.standard(webhookID: webhookID, timestamp: timestamp, body: one.body))
                lines.add("x-webhook-attempt", Int64(one.attempt))
                lines.add("x-webhook-attempt-id", attemptID)
            }, body: one.body, startBy: .now + .seconds(Limits.startWithinSeconds))
    }

    /// As for every delivery: exactly 200 acknowledges, anything else is tried again by the schedule, and what could
    /// not begin was no attempt.
    private func finish(_ one: ClaimedNotice, _ result: WireResult) {
        let next: NoticeResult.Next
        switch result {
        case .answered(let wire):
            next = self.next(one, AttemptOutcome(statusCode: wire.statusCode, retryAfter: nil).reason)
        case .failed(let failure): next = self.next(one, failure)
        case .notStarted, .shortage: next = .release(due: clock.engine + Self.releasedWait)
        }
        state.withLock { state in
            state.underWay -= 1
            state.results.append(NoticeResult(notice: one, next: next))
        }
        doorbell.ring()
    }

    private func next(_ one: ClaimedNotice, _ reason: AttemptFailure?) -> NoticeResult.Next {
        guard let reason else { return .end }
        var generator = EntropyGenerator(entropy)
        if let wait = schedule.wait(afterAttempt: one.attempt, using: &generator) {
            return .retry(due: clock.engine + wait)
        }
        logger.warning(
            "an operator notice could not be delivered",
            metadata: ["type": "\(one.type)", "webhook": "\(one.webhookID)", "reason": "\(reason.rawValue)"])
        return .end
    }
}
