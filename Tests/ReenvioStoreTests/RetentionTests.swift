import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// Histories that are forgotten: `docs/contract.md` 14, `docs/scaling.md`.
struct RetentionTests {
    private static let start = Fixtures.start
    private static let day: Int64 = 86_400

    /// Pays a payout, sends it and, where `resending`, a job again, and records it all at `now`.
    private static func deliver(
        _ store: Store, _ invoice: String, at now: Timestamp, token: Int64, resending: Bool = false
    ) async throws {
        let draft = IntakeBatch.NewPayout(draft: try Fixtures.draft(invoice: invoice), merchantID: Fixtures.merchantID)
        let made = try await store.commitIntake(IntakeBatch(creates: [draft]), now: now, due: now, nonces: [])
        guard case .payout(let id) = made.creates[0] else { throw Fixtures.Missing() }
        let paid = IntakeBatch(changes: [StatusChangeRequest(payoutID: id, status: .paid)])
        _ = try await store.commitIntake(paid, now: now, due: now, nonces: [UInt64(token)])
        if resending {
            let window = ResendWindow(startSeconds: now.seconds - 60, endSeconds: now.seconds + 60)
            let request = ResendRequest(
                merchantID: Fixtures.merchantID, window: window, statuses: PayoutStatus.notifiable)
            let opening = ResendOpening(
                accountID: 1, jobID: String(repeating: "e", count: 32), requester: Requester(actor: "key:test"))
            _ = try await store.openResend(request, opening, now: now)
            let rules = ChunkRules(now: now, due: now, policy: AddressPolicy(), backlogMax: 1_000)
            _ = try await store.advanceResend(after: nil, rules)
        }
        let order = ClaimOrder(now: now, leaseUntil: now + .seconds(30), token: token, turns: Turns())
        let claimed = try await store.recordAndClaim([], now: now, claim: order).claimed.deliveries
        #expect(claimed.count == (resending ? 2 : 1))
        let records = claimed.map { delivery in
            AttemptRecord(
                claimed: delivery, attemptID: Array(repeating: UInt8(token), count: 16), startedAt: now,
                duration: .milliseconds(12), statusCode: 200, reason: nil, answer: [], next: .end(.acknowledged))
        }
        _ = try await store.recordAndClaim(records, now: now, claim: nil)
    }

    /// Sweeps until there is nothing left to sweep now.
    private static func sweep(
        _ store: Store, _ retention: Retention = .standard, from first: SweepPosition = SweepPosition(),
        at now: Timestamp
    ) async throws -> (deliveries: Int, position: SweepPosition) {
        var position = first
        var deliveries = 0
        for _ in 0..<20 {
            let result = try await store.sweep(from: position, retention: retention, now: now)
            deliveries += result.deliveries
            position = result.position
            if !position.isUnderWay { return (deliveries, position) }
        }
        Issue.record("the janitor finds no end")
        return (deliveries, position)
    }

    @Test("ended deliveries go with their age, but not as long as their resend is kept", arguments: TestEngine.allCases)
    func endedDeliveries(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await Self.deliver(store, "old", at: Self.start, token: 1, resending: true)
        let first = try await Self.sweep(store, at: Self.start)
        #expect(first.deliveries == 0)
        let later = Self.start + .seconds(420 * Self.day)
        try await Self.deliver(store, "new", at: later, token: 2)
        let second = try await Self.sweep(store, from: first.position, at: later)
        #expect(second.deliveries == 1, "the resend was there when the walk went by")
        #expect(try await Self.sweep(store, from: second.position, at: later).deliveries == 0, "once a day")
        #expect(try await Self.faults(store).isEmpty)
        let third = try await Self.sweep(store, from: second.position, at: later + .seconds(Self.day))
        #expect(third.deliveries == 1, "the resend has gone meanwhile")
        #expect(try await store.number("SELECT count(*) FROM settled") == 1)
        #expect(try await Self.faults(store).isEmpty, "what was forgotten is not missed")
    }

    @Test("a missing delivery is still found out where nothing may be forgotten yet", arguments: TestEngine.allCases)
    func missingDelivery(_ kind: TestEngine) async throws {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await Self.deliver(store, "old", at: Self.start, token: 1)
        _ = try await Self.sweep(store, at: Self.start)
        let later = Self.start + .seconds(420 * Self.day)
        try await Self.deliver(store, "new", at: later, token: 2)
        #expect(try await Self.sweep(store, at: later).deliveries == 1)
        try await store.engine.write(.intake) { db in
            try db.run("DELETE FROM settled")
            return ()
        }
        #expect(try await Self.faults(store).count == 1, "only the new one is missed")
    }

    private static func faults(_ store: Store) async throws -> [String] {
        try await store.recount(engineNow: start)
    }

    // MARK: Pieces

    private static func pieces(_ store: Store, of table: String) async throws -> [String] {
        try await store.engine.read { db in
            try db.all(
                """
                SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = to_regclass($1) ORDER BY 1
                """, [.text(table)]
            ) { $0.text(0) }
        }
    }

    /// The first moment of a day after all that the pieces of a new store reach.
    private static func tomorrow(_ store: Store, plus days: Int64) async throws -> Timestamp {
        let now = try #require(try await store.serverMoment()).time
        return Timestamp(seconds: (now.seconds / day + days) * day)
    }

    @Test("on PostgreSQL each day has its piece of the attempts, and goes with it")
    func attemptsInPieces() async throws {
        let store = try await Fixtures.store(.postgres, in: try ScratchFolder())
        let first = try await Self.tomorrow(store, plus: 3)
        let rolled = try await store.rollPieces(retention: .standard, now: first)
        #expect(rolled.made > 1 && rolled.dropped == 0)
        #expect(try await store.rollPieces(retention: .standard, now: first) == PiecesRolled())
        try await Self.deliver(store, "one", at: first, token: 1)
        let names = try await Self.pieces(store, of: "attempts")
        #expect(names.contains("attempts_history") && names.contains("attempts_rest"))
        #expect(try await store.number("SELECT count(*) FROM attempts_rest") == 0)
        #expect(try await store.number("SELECT count(*) FROM attempts_history") == 0)
        #expect(try await store.number("SELECT count(*) FROM attempts") == 1)
        // Kept for 30 days, and no longer than one more.
        let kept = first + .seconds(30 * Self.day)
        try await Self.roll(store, at: kept)
        #expect(try await store.number("SELECT count(*) FROM attempts") == 1)
        try await Self.roll(store, at: kept + .seconds(2 * Self.day))
        #expect(try await store.number("SELECT count(*) FROM attempts") == 0)
        #expect(try await !Self.pieces(store, of: "attempts").contains("attempts_history"))
        #expect(try await store.number("SELECT count(*) FROM settled") == 1, "these are kept for 400")
        #expect(try await Self.faults(store).isEmpty)
    }

    /// Until nothing is left to drop.
    private static func roll(_ store: Store, _ retention: Retention = .standard, at now: Timestamp) async throws {
        for _ in 0..<100 {
            if try await store.rollPieces(retention: retention, now: now).dropped == 0 { return }
        }
        Issue.record("there is always one more piece to drop")
    }

    @Test("on PostgreSQL ended deliveries go in pieces, but not before their resends")
    func settledInPieces() async throws {
        let store = try await Fixtures.store(.postgres, in: try ScratchFolder())
        let retention = try #require(Retention("deliveries=120d"))
        let first = try await Self.tomorrow(store, plus: 3)
        try await Self.roll(store, retention, at: first)
        try await Self.deliver(store, "one", at: first, token: 1, resending: true)
        let later = first + .seconds(130 * Self.day)
        try await Self.roll(store, retention, at: later)
        #expect(try await store.number("SELECT count(*) FROM settled") == 2, "the resend is kept until it is swept")
        #expect(try await Self.faults(store).isEmpty)
        _ = try await Self.sweep(store, retention, at: later)
        try await Self.roll(store, retention, at: later)
        #expect(try await store.number("SELECT count(*) FROM settled") == 0)
        #expect(try await Self.faults(store).isEmpty)
    }

    @Test("on PostgreSQL nothing is refused for its time: what no piece has stands in the rest, and goes row by row")
    func restOfPieces() async throws {
        let store = try await Fixtures.store(.postgres, in: try ScratchFolder())
        let far = try await Self.tomorrow(store, plus: 40)
        try await Self.deliver(store, "ahead", at: far, token: 1)
        #expect(try await store.number("SELECT count(*) FROM attempts_rest") == 1)
        #expect(try await store.number("SELECT count(*) FROM settled_rest") == 1)
        try await Self.roll(store, at: far)
        try await Self.deliver(store, "same day", at: far, token: 2)
        #expect(try await store.number("SELECT count(*) FROM attempts_rest") == 2, "a piece begins behind it")
        try await Self.deliver(store, "next day", at: far + .seconds(Self.day), token: 3)
        #expect(try await store.number("SELECT count(*) FROM attempts_rest") == 2)
        _ = try await Self.sweep(store, at: far)
        let later = far + .seconds(420 * Self.day)
        try await Self.roll(store, at: later)
        _ = try await Self.sweep(store, at: later)
        #expect(try await store.number("SELECT count(*) FROM attempts") == 0)
        #expect(try await store.number("SELECT count(*) FROM settled_rest") == 0)
        #expect(try await Self.faults(store).isEmpty)
    }

    @Test("on PostgreSQL nodes that cut and drop at once do so one after the other")
    func severalNodes() async throws {
        let address = try TestPostgres.shared.newSchema()
        let sealing = try Fixtures.sealingKey
        let stores = try await [0, 1, 2].asyncMap { _ in
            try await Store.open(
                engine: PostgresEngine(address, readers: 1, writers: 2), sealing: sealing, now: Self.start
            ).store
        }
        let now = try await Self.tomorrow(stores[0], plus: 60)
        let made = try await withThrowingTaskGroup(of: Int.self) { tasks in
            for store in stores {
                tasks.addTask { try await store.rollPieces(retention: .standard, now: now).made }
            }
            return try await tasks.reduce(0, +)
        }
        #expect(made > 0)
        #expect(try await stores[1].rollPieces(retention: .standard, now: now).made == 0)
    }
}

extension Array {
    fileprivate func asyncMap<T>(_ transform: (Element) async throws -> T) async rethrows -> [T] {
        var result: [T] = []
        for element in self { result.append(try await transform(element)) }
        return result
    }
}
