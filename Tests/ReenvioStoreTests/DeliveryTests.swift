import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Claiming and recording: `docs/architecture.md` rules 4, 5 and 11, `docs/contract.md` 4.2.
struct DeliveryTests {
    private static let start = Fixtures.start

    private func order(_ now: Timestamp = start, token: Int64 = 7, turns: Turns = Turns()) -> ClaimOrder {
        ClaimOrder(now: now, leaseUntil: now + .seconds(30), token: token, turns: turns)
    }

    private func claim(_ store: Store, _ order: ClaimOrder) async throws -> ClaimResult {
        try await store.recordAndClaim([], now: order.now, claim: order).claimed
    }

    private func record(
        _ claimed: ClaimedDelivery, _ next: AttemptRecord.Next, statusCode: Int? = 200, reason: AttemptFailure? = nil,
        attemptID: UInt8 = 1
    ) -> AttemptRecord {
        AttemptRecord(
            claimed: claimed, attemptID: Array(repeating: attemptID, count: 16), startedAt: Self.start,
            duration: .milliseconds(12), statusCode: statusCode, reason: reason, answer: Array("ok".utf8), next: next
        )
    }

    private func onePaid(_ store: Store) async throws -> Int64 {
        let ids = try await store.createPayouts(1)
        try await store.report(.paid, ids)
        return ids[0]
    }

    @Test(
        "a claim numbers the attempt, leases it, and hands over all that sending needs", arguments: TestEngine.allCases)
    func claiming(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let id = try await onePaid(store)
        #expect(try await claim(store, order(Self.start - .seconds(1))).deliveries.isEmpty, "not due yet")
        let claimed = try #require(try await claim(store, order()).deliveries.first)
        #expect(claimed.payoutID == id)
        #expect((claimed.attempt, claimed.sequence, claimed.invoice) == (1, 2, "inv-0"))
        #expect((claimed.amount?.text, claimed.url, claimed.resendPublicID) == ("43.34", Fixtures.receiverURL, nil))
        #expect(try await claim(store, order(Self.start + .seconds(29))).deliveries.isEmpty, "leased")
        let again = try #require(try await claim(store, order(Self.start + .seconds(31), token: 8)).deliveries.first)
        #expect(again.attempt == 2, "a lost result shows the next number")
        #expect(again.webhookID == claimed.webhookID)
    }

    @Test(
        "a result counts only where its claim still holds; a late one is kept as history",
        arguments: TestEngine.allCases)
    func lateResults(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await onePaid(store)
        let lost = try #require(try await claim(store, order()).deliveries.first)
        let current = try #require(try await claim(store, order(Self.start + .seconds(31), token: 8)).deliveries.first)
        let late = try await store.recordAndClaim(
            [record(lost, .end(.exhausted), statusCode: nil, reason: .timedOut)], now: Self.start, claim: nil
        )
        #expect(late.recorded.late == 1)
        #expect(try await store.number("SELECT count(*) FROM deliveries") == 1)
        #expect(try await store.number("SELECT count(*) FROM attempts") == 1)
        let done = try await store.recordAndClaim(
            [record(current, .end(.acknowledged), attemptID: 2)], now: Self.start, claim: nil
        )
        #expect(done.recorded.late == 0)
        #expect(try await store.number("SELECT count(*) FROM deliveries") == 0)
        #expect(try await store.rows("SELECT attempts, last_status_code FROM settled", columns: 2) == [[2, 200]])
    }

    @Test("a late result in the same batch as the one that counts changes nothing", arguments: TestEngine.allCases)
    func lateBesideCurrent(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await onePaid(store)
        let lost = try #require(try await claim(store, order()).deliveries.first)
        let current = try #require(try await claim(store, order(Self.start + .seconds(31), token: 8)).deliveries.first)
        let records = [
            record(current, .end(.acknowledged), attemptID: 2),
            record(lost, .end(.exhausted), statusCode: nil, reason: .timedOut),
        ]
        let done = try await store.recordAndClaim(records, now: Self.start, claim: nil)
        #expect(done.recorded.late == 1)
        let state = try await store.engine.read { db in try db.first("SELECT state FROM settled") { $0.text(0) } }
        #expect(state == "acknowledged")
    }

    @Test(
        "a failed live delivery waits among the retries; a released one gets its number back",
        arguments: TestEngine.allCases)
    func retryAndRelease(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await onePaid(store)
        let claimed = try #require(try await claim(store, order()).deliveries.first)
        let due = Self.start + .seconds(5)
        _ = try await store.recordAndClaim(
            [record(claimed, .retry(due: due), statusCode: 500, reason: .httpStatus)], now: Self.start, claim: nil
        )
        #expect(try await claim(store, order(Self.start + .seconds(4))).deliveries.isEmpty)
        let second = try #require(try await claim(store, order(due)).deliveries.first)
        #expect((second.queue.lane, second.attempt) == (.retry, 2))
        _ = try await store.recordAndClaim(
            [record(second, .release(due: due), statusCode: nil, attemptID: 2)], now: Self.start, claim: nil
        )
        #expect(try await store.number("SELECT count(*) FROM attempts") == 1, "what never began is no attempt")
        #expect(try #require(try await claim(store, order(due, token: 9)).deliveries.first).attempt == 2)
    }

    @Test("a resend carries the payout's latest notification at each claim", arguments: TestEngine.allCases)
    func latestNotification(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(1)
        try await store.report(.received, ids, due: Self.start + .seconds(10_000))
        let job = try await openJob(store)
        try await store.report(.paid, ids, at: Self.start + .seconds(1), due: Self.start + .seconds(10_000))
        let claimed = try #require(try await claim(store, order()).deliveries.first)
        #expect(claimed.resendPublicID == job.jobID)
        #expect(claimed.sequence == 3)
        #expect(String(decoding: claimed.body, as: UTF8.self).contains(#""Paid""#))
    }

    @Test("an acknowledged resend settles the live delivery of the same notification", arguments: TestEngine.allCases)
    func acknowledgedElsewhere(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(1)
        try await store.report(.paid, ids, due: Self.start + .seconds(300))
        let job = try await openJob(store)
        let claimed = try #require(try await claim(store, order()).deliveries.first)
        _ = try await store.recordAndClaim([record(claimed, .end(.acknowledged))], now: Self.start, claim: nil)
        #expect(try await store.number("SELECT count(*) FROM deliveries") == 0)
        let live = try await store.engine.read { db in
            try db.first("SELECT state, reason FROM settled WHERE resend_id IS NULL") { ($0.text(0), $0.text(1)) }
        }
        #expect(live?.0 == "skipped")
        #expect(live?.1 == "acknowledged_elsewhere")
        #expect(
            try await store.resendOutcome(id: job.id)
                == ResendOutcome(delivered: 1, undelivered: 0, pending: 0, skipped: 0))
        #expect(try await store.number("SELECT sum(unacked) FROM minute_counts") == 0)
        #expect(try await store.recount(engineNow: Self.start).isEmpty)
    }

    @Test("an acknowledged live delivery leaves a resend's alone: it was asked for", arguments: TestEngine.allCases)
    func resendIsNotSettledByLive(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await onePaid(store)
        _ = try await openJob(store)
        let claimed = try await claim(store, order()).deliveries
        let live = try #require(claimed.first { $0.resendID == nil })
        _ = try await store.recordAndClaim([record(live, .end(.acknowledged))], now: Self.start, claim: nil)
        #expect(try await store.number("SELECT count(*) FROM deliveries WHERE resend_id IS NOT NULL") == 1)
    }

    @Test("tallies change in the commit that ends a delivery", arguments: TestEngine.allCases)
    func tallies(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(4)
        try await store.report(.paid, ids, due: Self.start + .seconds(10_000))
        let job = try await openJob(store)
        let claimed = try await claim(store, order()).deliveries
        #expect(claimed.count == 4)
        let records = [
            record(claimed[0], .end(.acknowledged)),
            record(claimed[1], .end(.exhausted), statusCode: 500, reason: .httpStatus),
            record(claimed[2], .end(.stopped), statusCode: 410, reason: .gone),
        ]
        _ = try await store.recordAndClaim(records, now: Self.start, claim: nil)
        #expect(
            try await store.resendOutcome(id: job.id)
                == ResendOutcome(delivered: 1, undelivered: 2, pending: 1, skipped: 0))
        #expect(try await store.recount(engineNow: Self.start).isEmpty)
    }

    @Test("a queue with more work than slots is left for later, not lost", arguments: TestEngine.allCases)
    func fullReceiver(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        let ids = try await store.createPayouts(10)
        try await store.report(.paid, ids)
        var turns = Turns(nodeSlots: 100, receiverSlots: 4)
        let first = try await claim(store, order(turns: turns))
        #expect(first.deliveries.count == 4)
        #expect(first.queues.map(\.hasMore) == [true])
        let candidate = Turns.Candidate(merchantID: Fixtures.merchantID, queue: first.queues[0].queue)
        turns.took(4, from: candidate, hasMore: true)
        #expect(try await claim(store, order(token: 8, turns: turns)).deliveries.isEmpty, "no free slot")
        turns.gaveBack(4, to: candidate.queue)
        #expect(try await claim(store, order(token: 9, turns: turns)).deliveries.count == 4)
        #expect(
            try await claim(store, order(Self.start + .seconds(3), token: 10)).deliveries.count == 2, "another node")
    }

    @Test("the janitor forgets old attempts and resends, and empty queues", arguments: TestEngine.allCases)
    func sweeping(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        _ = try await onePaid(store)
        let job = try await openJob(store)
        for delivery in try await claim(store, order()).deliveries {
            let records = [record(delivery, .end(.acknowledged))]
            _ = try await store.recordAndClaim(records, now: Self.start, claim: nil)
        }
        _ = try await claim(store, order(Self.start + .seconds(40)))
        let swept = try await store.sweep(from: SweepPosition(), retention: .standard, now: Self.start)
        #expect(swept.queues == 2)
        #expect(try await store.number("SELECT count(*) FROM attempts") == 2)
        _ = try await store.sweep(from: SweepPosition(), retention: .standard, now: Self.start + .seconds(29 * 86_400))
        #expect(try await store.number("SELECT count(*) FROM attempts") == 2)
        _ = try await store.sweep(from: SweepPosition(), retention: .standard, now: Self.start + .seconds(62 * 86_400))
        #expect(try await store.number("SELECT count(*) FROM attempts") == 0)
        #expect(try await store.resend(jobID: job.jobID) != nil, "the row stays 90 days")
        _ = try await store.sweep(from: SweepPosition(), retention: .standard, now: Self.start + .seconds(91 * 86_400))
        #expect(try await store.resend(jobID: job.jobID) == nil)
    }

    @Test(
        "what waited while its receiver was held or broken is due at once when that ends",
        arguments: TestEngine.allCases)
    func opensQueues(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await store.report(.paid, try await store.createPayouts(5))
        let full = try await claim(store, order(turns: Turns(slotsAtFirst: 3)))
        #expect(full.deliveries.count == 3, "the queue is put off, and this node claims from it as slots come free")
        let held = ReceiverChange(
            receiverID: full.deliveries[0].queue.receiverID, what: .held(until: Self.start + .milliseconds(100)),
            at: Self.start)
        _ = try await store.recordAndClaim([], changes: [held], now: Self.start, claim: nil)
        #expect(try await claim(store, order(Self.start + .milliseconds(50))).deliveries.isEmpty)
        let after = try await claim(store, order(Self.start + .milliseconds(200), token: 8))
        #expect(after.deliveries.count == 2)
    }

    private func openJob(_ store: Store) async throws -> Resend {
        let window = ResendWindow(startSeconds: Self.start.seconds - 60, endSeconds: Self.start.seconds + 60)
        let request = ResendRequest(
            merchantID: Fixtures.merchantID, window: window, statuses: PayoutStatus.notifiable
        )
        let opening = ResendOpening(
            accountID: 1, jobID: String(repeating: "f", count: 32), requester: Requester(actor: "key:test"))
        let job = try #require(try await store.openResend(request, opening, now: Self.start).resend)
        let rules = ChunkRules(now: Self.start, due: Self.start, policy: AddressPolicy(), backlogMax: 1_000)
        _ = try await store.advanceResend(after: nil, rules)
        return job
    }
}
