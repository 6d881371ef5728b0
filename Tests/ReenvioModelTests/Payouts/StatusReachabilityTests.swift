import ReenvioModel
import Testing

@Suite struct StatusReachabilityTests {
    static let ids: [Int64] = [1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    /// The table of `docs/contract.md` 1.2, typed out once more.
    static let edges: [Int64: Set<Int64>] = [
        7: [1, 6, 10, 11],
        1: [2, 5, 6, 11],
        5: [1, 4, 6],
        2: [8, 3, 4, 6],
        8: [3, 4],
        3: [], 4: [], 6: [], 10: [], 11: [],
    ]
    /// Every pair that a path of one step or more connects, by Floyd and Warshall.
    static let reachable: [Int64: Set<Int64>] = {
        var reach = edges
        for middle in ids {
            for start in ids where reach[start]?.contains(middle) == true {
                let beyond = reach[middle] ?? []
                reach[start]?.formUnion(beyond)
            }
        }
        return reach
    }()

    @Test(arguments: ids)
    func takesTheDocumentedSteps(id: Int64) throws {
        let next = StatusFlow.next(after: try #require(PayoutStatus(id: id))).map(\.id)
        #expect(Set(next) == Self.edges[id])
        #expect(Set(next).count == next.count)
    }

    @Test(arguments: ids, ids)
    func reachesWhatAPathLeadsTo(from: Int64, to: Int64) throws {
        let (start, target) = (try #require(PayoutStatus(id: from)), try #require(PayoutStatus(id: to)))
        #expect(StatusFlow.canReach(target, from: start) == Self.reachable[from]?.contains(to))
    }

    /// The answer to each of the 100 requests: unchanged, applied or refused with the text of `docs/contract.md` 2.4.
    @Test(arguments: ids, ids)
    func decidesEachPair(from: Int64, to: Int64) throws {
        let (start, target) = (try #require(PayoutStatus(id: from)), try #require(PayoutStatus(id: to)))
        let now = Timestamp(seconds: 1_774_339_532)
        let current = StatusFlow.Current(
            status: start, changedAt: now - .seconds(60), allowsStatusDetail: false)
        let change = StatusChangeRequest(payoutID: 1, status: target)
        let decision = StatusFlow.decide(change, on: current, now: now)
        if from == to {
            #expect(decision == .unchanged)
        } else if Self.reachable[from]?.contains(to) == true {
            #expect(decision == .apply(at: now))
        } else {
            let refusal = StatusFlow.Refusal.notAllowed(from: start, to: target)
            #expect(decision == .refused(refusal))
            #expect(refusal.message == "Status change from \(from) to \(to) is not allowed.")
        }
    }

    @Test(arguments: ids)
    func leavesNoFinalStatus(id: Int64) throws {
        let status = try #require(PayoutStatus(id: id))
        #expect(StatusFlow.next(after: status).isEmpty == status.isFinal)
    }
}
