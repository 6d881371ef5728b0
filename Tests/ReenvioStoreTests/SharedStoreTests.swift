import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Synchronization
import Testing

/// Several nodes on one PostgreSQL, all at one merchant at once: what SQLite's one writer keeps apart, locks must.
struct SharedStoreTests {
    @Test("eight writers, three dispatchers, two runners and a canceler agree to the last row", .timeLimit(.minutes(2)))
    func everybodyAtOnce() async throws {
        let crowd = try await Crowd(nodes: 3)
        try await crowd.run()
        try await crowd.settle()
        #expect(try await crowd.nodes[0].recount(engineNow: crowd.now) == [])
        for id in crowd.jobs.withLock({ $0 }) {
            let job = try #require(try await crowd.nodes[0].resend(jobID: id))
            let outcome = try #require(try await crowd.nodes[0].resendOutcome(id: job.id))
            #expect(job.queued + job.failed <= job.total)
            #expect(outcome.pending == 0)
            #expect(outcome.delivered + outcome.undelivered + outcome.skipped == job.queued)
            if job.state == .completed { #expect(job.queued + job.failed == job.total) }
        }
        let seen = crowd.seen.withLock { $0 }
        let conflicts = crowd.engines.reduce(0) { $0 + $1.conflicts }
        #expect(conflicts <= 5, "the order of locks excludes deadlocks, all but a few")
        #expect(seen.claims.values.allSatisfy { $0 == 1 }, "an attempt was claimed by two nodes")
        #expect(seen.applied > 500 && seen.retries > 0 && seen.lost > 0, "too little happened to prove anything")
        let completed = try await crowd.nodes[0].number("SELECT count(*) FROM resends WHERE state = 'completed'")
        #expect(completed ?? 0 > 0)
        #expect(try await crowd.nodes[0].number("SELECT count(*) FROM resends WHERE ended = 'canceled'") ?? 0 > 0)
    }
}

/// Nodes with their tasks, without engines: each task calls the store as fast as it can.
private final class Crowd: Sendable {
    struct Claimed: Hashable {
        var deliveryID: Int64
        var attempt: Int
    }

    struct Seen {
        var claims: [Claimed: Int] = [:]
        var applied = 0
        var retries = 0
        var lost = 0
    }

    let nodes: [Store]
    let engines: [PostgresEngine]
    let jobs = Mutex<[String]>([])
    let seen = Mutex(Seen())
    private let payouts: [Int64]
    private let clock = Atomic<Int64>(Fixtures.start.microseconds)
    private let isWriting = Atomic<Bool>(true)

    var now: Timestamp { Timestamp(microseconds: clock.load(ordering: .relaxed)) }

    init(nodes count: Int) async throws {
        let address = try TestPostgres.shared.newSchema()
        var nodes: [Store] = []
        engines = try (0..<count).map { _ in try PostgresEngine(address, readers: 1, writers: 4) }
        for engine in engines {
            nodes.append(
                try await Store.open(engine: engine, sealing: try Fixtures.sealingKey, now: Fixtures.start).store)
        }
        self.nodes = nodes
        let account = try await nodes[0].createAccount(name: "Platform", actor: "test", now: Fixtures.start)
        let merchant = NewMerchant(
            id: Fixtures.merchantID, accountID: account, name: "Shop", signingSecret: try Fixtures.signingSecret)
        _ = try await nodes[0].createMerchant(merchant, actor: "test", now: Fixtures.start)
        var payouts: [Int64] = []
        for receiver in 0..<3 {
            payouts += try await nodes[receiver % count].createPayouts(
                150, prefix: "r\(receiver)", url: "https://r\(receiver).example/hook")
        }
        self.payouts = payouts
    }

    private func node(_ index: Int) -> Store { nodes[index % nodes.count] }

    func run() async throws {
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            try await withThrowingTaskGroup(of: Void.self) { writers in
                for index in 0..<3 { tasks.addTask { try await self.dispatch(index) } }
                for index in 0..<2 { tasks.addTask { try await self.advance(index) } }
                tasks.addTask { try await self.clean() }
                for index in 0..<8 { writers.addTask { try await self.write(index) } }
                for index in 0..<2 { writers.addTask { try await self.openAndCancel(index) } }
                try await writers.waitForAll()
            }
            isWriting.store(false, ordering: .relaxed)
            try await tasks.waitForAll()
        }
    }

    private func write(_ index: Int) async throws {
        var random = SystemRandomNumberGenerator()
        for round in 0..<12 {
            var changes: [StatusChangeRequest] = []
            for _ in 0..<25 {
                let id = payouts[Int.random(in: 0..<payouts.count, using: &random)]
                let status = PayoutStatus.allCases[Int.random(in: 0..<PayoutStatus.allCases.count, using: &random)]
                changes.append(StatusChangeRequest(payoutID: id, status: status))
            }
            let creates = try (0..<2).map {
                IntakeBatch.NewPayout(
                    draft: try Fixtures.draft(invoice: "w\(index)-\(round)-\($0)"), merchantID: Fixtures.merchantID)
            }
            let result = try await node(index).commitIntake(
                IntakeBatch(creates: creates, changes: changes), now: now, due: now, nonces: changes.map { _ in 1 })
            seen.withLock { $0.applied += result.changes.count { $0 == .applied } }
        }
    }

    private func openAndCancel(_ index: Int) async throws {
        for round in 0..<6 {
            var random = SystemRandomNumberGenerator()
            let start = Fixtures.start.seconds - 120 - Int64(round * 2 + index) * 60
            let request = ResendRequest(
                merchantID: Fixtures.merchantID,
                window: ResendWindow(startSeconds: start, endSeconds: start + 86_000), statuses: PayoutStatus.notifiable
            )
            let opening = ResendOpening(
                accountID: Fixtures.accountID, jobID: Resend.newJobID(using: &random),
                requester: Requester(actor: "test"))
            guard try await node(index).openResend(request, opening, now: now).resend != nil else { continue }
            jobs.withLock { $0.append(opening.jobID) }
            guard round.isMultiple(of: 3) else { continue }
            _ = try await node(index + 1).cancelResend(
                jobID: opening.jobID, accountID: nil, by: Requester(actor: "test"), now: now)
        }
    }

    private func advance(_ index: Int) async throws {
        while try await advanceOnce(index) || isWriting.load(ordering: .relaxed) {}
    }

    private func advanceOnce(_ index: Int) async throws -> Bool {
        let rules = ChunkRules(now: now, due: now, policy: AddressPolicy(), backlogMax: 10_000)
        return try await node(index).advanceResend(after: nil, rules).progress != .idle
    }

    private func clean() async throws {
        while isWriting.load(ordering: .relaxed) {
            _ = try await nodes[0].sweepCanceled(now: now, engineNow: now)
            _ = try await nodes[1].sweep(from: SweepPosition(), retention: .standard, now: now)
        }
    }

    private func dispatch(_ index: Int) async throws {
        var turns = Turns()
        var records: [AttemptRecord] = []
        var cursors = ClaimCursors()
        while isWriting.load(ordering: .relaxed) {
            (turns, records) = try await dispatchOnce(index, turns, records, &cursors, losing: true)
        }
        _ = try await node(index).recordAndClaim(records, now: now, claim: nil)
    }

    /// One claim after the results of the last; returns the results of this one.
    private func dispatchOnce(
        _ index: Int, _ turns: Turns, _ records: [AttemptRecord], _ cursors: inout ClaimCursors, losing: Bool
    ) async throws -> (Turns, [AttemptRecord]) {
        clock.add(20_000, ordering: .relaxed)
        var order = ClaimOrder(
            now: now, leaseUntil: now + .seconds(30), token: Int64.random(in: 1...Int64.max), turns: turns)
        order.cursors = cursors
        let claimed = try await node(index).recordAndClaim(records, now: now, claim: order).claimed
        cursors = claimed.cursors
        var results: [AttemptRecord] = []
        for delivery in claimed.deliveries {
            let fate = losing ? Int.random(in: 0..<10) : 9
            seen.withLock { seen in
                seen.claims[Claimed(deliveryID: delivery.id, attempt: delivery.attempt), default: 0] += 1
                if fate == 0 { seen.lost += 1 }
                if fate == 1 { seen.retries += 1 }
            }
            if fate == 0 { continue }
            let next: AttemptRecord.Next = fate == 1 ? .retry(due: now + .seconds(1)) : .end(.acknowledged)
            results.append(
                AttemptRecord(
                    claimed: delivery, attemptID: (0..<16).map { _ in UInt8.random(in: 0...255) }, startedAt: now,
                    duration: .milliseconds(1), statusCode: fate == 1 ? 500 : 200,
                    reason: nil, answer: [], next: next))
        }
        // Slots are given back at once: who is claimed next is not what this is about.
        return (Turns(), results)
    }

    /// Leases run out, and everything that is left goes out.
    func settle() async throws {
        var cursors = ClaimCursors()
        for _ in 0..<200 {
            clock.add(31_000_000, ordering: .relaxed)
            while try await advanceOnce(0) {}
            _ = try await nodes[0].sweepCanceled(now: now, engineNow: now)
            let (_, records) = try await dispatchOnce(1, Turns(), [], &cursors, losing: false)
            _ = try await nodes[1].recordAndClaim(records, now: now, claim: nil)
            if records.isEmpty, try await nodes[0].number("SELECT count(*) FROM deliveries") == 0 { return }
        }
        Issue.record("the deliveries did not come to an end")
    }
}
