import ReenvioModel
import ReenvioStore
import ReenvioTesting
import Testing

/// A claim begins where the last one of its node ended (`ClaimCursors`), and still misses nothing for long.
struct ClaimCursorTests {
    private static let start = Fixtures.start
    private static let slots = 4

    /// Claims of one node, which carries its cursors along, of one receiver with room for four.
    private struct Node {
        let store: Store
        var cursors = ClaimCursors()
        var turns = Turns(slotsAtFirst: slots, resendSlotsAtFirst: slots)
        var token: Int64 = 0

        init(_ store: Store) {
            self.store = store
        }

        mutating func claim(after passed: Duration) async throws -> [Int64] {
            token += 1
            let now = ClaimCursorTests.start + passed
            var order = ClaimOrder(now: now, leaseUntil: now + .seconds(30), token: token, turns: turns)
            order.cursors = cursors
            let result = try await store.recordAndClaim([], now: now, claim: order).claimed
            cursors = result.cursors
            for (merchantID, queue, hasMore) in result.queues {
                let count = result.deliveries.count { $0.queue == queue }
                turns.took(count, from: Turns.Candidate(merchantID: merchantID, queue: queue), hasMore: hasMore)
                turns.gaveBack(count, to: queue)
            }
            return result.deliveries.map(\.id)
        }
    }

    private func storeWithBacklog(_ kind: TestEngine, of count: Int) async throws -> Store {
        let store = try await Fixtures.store(kind, in: try ScratchFolder())
        try await store.report(.paid, try await store.createPayouts(count))
        return store
    }

    /// As if the transaction that wrote it had been slow to commit.
    private func comesLate(_ id: Int64, in store: Store) async throws {
        _ = try await store.engine.write(.janitor) { db in
            try db.run(
                "UPDATE deliveries SET due_at = $2 WHERE id = $1", [.int(id), .time(Self.start - .seconds(60))])
        }
    }

    @Test("work that came in behind the cursor is met a moment later", arguments: TestEngine.allCases)
    func lateWork(_ kind: TestEngine) async throws {
        let store = try await storeWithBacklog(kind, of: 20)
        var node = Node(store)
        let first = try await node.claim(after: .zero)
        let all = Array(first[0]..<first[0] + 20)
        #expect(first == Array(all[0..<4]))
        #expect(try await node.claim(after: .milliseconds(5)) == Array(all[4..<8]))
        try await comesLate(all[19], in: store)
        // SQLite has nothing to step over, so it always looks from the beginning.
        let isSeen = kind == .sqlite
        #expect(try await node.claim(after: .milliseconds(99)).contains(all[19]) == isSeen)
        #expect(try await node.claim(after: .milliseconds(101)).contains(all[19]) == !isSeen)
        let rest = try await node.claim(after: .milliseconds(102)) + node.claim(after: .milliseconds(103))
        #expect(rest.count == 4 && rest.last == all[18], "and nothing twice, nothing lost")
    }

    @Test("with less behind the cursor than was asked for, the next claim looks from the beginning")
    func rewinds() async throws {
        let store = try await storeWithBacklog(.postgres, of: 6)
        var node = Node(store)
        let first = try await node.claim(after: .zero)
        try await comesLate(first[0] + 5, in: store)
        #expect(try await node.claim(after: .milliseconds(1)) == [first[0] + 4])
        #expect(try await node.claim(after: .milliseconds(2)) == [first[0] + 5])
    }

    @Test("where several receivers share the slots, nothing counted behind a cursor looks from the beginning, too")
    func rewindsWhenCounted() async throws {
        let store = try await Fixtures.store(.postgres, in: try ScratchFolder())
        for receiver in ["a", "b"] {
            let url = "https://\(receiver).example/hook"
            try await store.report(.paid, try await store.createPayouts(8, prefix: receiver, url: url))
        }
        var node = Node(store)
        let first = try await node.claim(after: .zero)
        #expect(first.count == 2 * Self.slots)
        let waiting = try await store.rows(
            "SELECT id FROM deliveries WHERE claim_token IS NULL AND queue_id = (SELECT min(queue_id) FROM deliveries)",
            columns: 1, []
        ).flatMap { $0 }
        #expect(waiting.count == 4)
        for id in waiting { try await comesLate(id, in: store) }
        let second = try await node.claim(after: .milliseconds(1))
        #expect(!second.isEmpty && Set(second).isDisjoint(with: waiting))
        #expect(try await node.claim(after: .milliseconds(2)).sorted() == waiting.sorted())
    }
}
