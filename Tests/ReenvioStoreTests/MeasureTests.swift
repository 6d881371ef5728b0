import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// The figures that the metrics show of the store, each bounded (`docs/operations.md`).
struct MeasureTests {
    private static let start = Fixtures.start

    /// Five live deliveries of 303 and two of 304, due now.
    private static func store(_ kind: TestEngine) async throws -> Store {
        let store = try await Fixtures.store(kind, in: try ScratchFolder(), merchants: [303, 304])
        for (merchantID, count) in [(Int64(303), 5), (304, 2)] {
            let ids = try await store.createPayouts(count, merchantID: merchantID, prefix: "m\(merchantID)")
            try await store.report(.paid, ids)
        }
        return store
    }

    @Test("a backlog larger than a part is counted over several, none twice", arguments: TestEngine.allCases)
    func parts(_ kind: TestEngine) async throws {
        let store = try await Self.store(kind)
        var walk = BacklogWalk()
        for shown: Int64 in [3, 6, 7, 7, 7, 7] {
            walk.take(try await store.measure(from: walk.place, now: Self.start, part: 3).backlog)
            #expect(walk.shown(.live) == shown)
            #expect(walk.shown(.retry) == 0)
        }
        #expect(walk.place == nil, "two whole walks of three parts")
        try await store.engine.write(.janitor) { db in
            try db.run("DELETE FROM deliveries WHERE id > 4")
            return ()
        }
        for shown: Int64 in [7, 4, 4] {
            walk.take(try await store.measure(from: walk.place, now: Self.start, part: 3).backlog)
            #expect(walk.shown(.live) == shown, "the last whole count, until the next is whole")
        }
    }

    @Test("a backlog of exactly a part, and none at all", arguments: TestEngine.allCases)
    func edges(_ kind: TestEngine) async throws {
        let store = try await Self.store(kind)
        let whole = try await store.measure(from: nil, now: Self.start, part: 8).backlog
        #expect((whole.counts[.live], whole.next) == (7, nil))
        let exact = try await store.measure(from: nil, now: Self.start, part: 7).backlog
        #expect(exact.counts[.live] == 7)
        let rest = try await store.measure(from: exact.next, now: Self.start, part: 7).backlog
        #expect(rest.counts.isEmpty && rest.next == nil)
    }

    @Test(
        "what is claimed, parked or not due yet is not overdue; what its receiver has no room for is",
        arguments: TestEngine.allCases)
    func oldestDue(_ kind: TestEngine) async throws {
        let store = try await Self.store(kind)
        func oldest(_ now: Timestamp) async throws -> Timestamp? {
            try await store.measure(from: nil, now: now).oldestDue[.live]
        }
        #expect(try await oldest(Self.start - .seconds(1)) == nil)
        #expect(try await oldest(Self.start) == Self.start)
        let order = ClaimOrder(
            now: Self.start, leaseUntil: Self.start + .seconds(30), token: 7, turns: Turns(slotsAtFirst: 3))
        let claimed = try await store.recordAndClaim([], now: Self.start, claim: order).claimed
        #expect(claimed.deliveries.count == 5, "three of one receiver, both of the other")
        #expect(try await oldest(Self.start + .seconds(10)) == Self.start)
        try await store.engine.write(.janitor) { db in
            try db.run("UPDATE queues SET parked = 1 WHERE merchant_id = 303")
            return ()
        }
        #expect(try await oldest(Self.start + .seconds(10)) == nil)
        #expect(try await oldest(Self.start + .seconds(40)) == Self.start + .seconds(30), "the leases ran out")
    }

    @Test("an abandoned claim is counted when it is claimed again", arguments: TestEngine.allCases)
    func abandoned(_ kind: TestEngine) async throws {
        let store = try await Self.store(kind)
        func claim(_ now: Timestamp, token: Int64) async throws -> ClaimResult {
            let order = ClaimOrder(now: now, leaseUntil: now + .seconds(30), token: token, turns: Turns())
            return try await store.recordAndClaim([], now: now, claim: order).claimed
        }
        let first = try await claim(Self.start, token: 7)
        #expect((first.deliveries.count, first.abandoned) == (7, 0))
        let releases = first.deliveries.prefix(3).map { claimed in
            AttemptRecord(
                claimed: claimed, attemptID: [], startedAt: Self.start, duration: .zero, statusCode: nil, reason: nil,
                answer: [], next: .release(due: Self.start))
        }
        _ = try await store.recordAndClaim(releases, now: Self.start, claim: nil)
        let later = try await claim(Self.start + .seconds(31), token: 8)
        #expect((later.deliveries.count, later.abandoned) == (7, 4), "what was given back was not sent")
    }
}
