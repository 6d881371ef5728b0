import ReenvioModel
import Testing

func candidate(_ merchantID: Int64, _ receiverID: Int64, _ lane: Lane = .live) -> Turns.Candidate {
    Turns.Candidate(merchantID: merchantID, queue: QueueID(receiverID: receiverID, lane: lane))
}

extension [Turns.Grant] {
    func count(_ lane: Lane) -> Int {
        reduce(0) { $0 + ($1.queue.lane == lane ? $1.count : 0) }
    }

    func count(merchant: Int64) -> Int {
        reduce(0) { $0 + ($1.merchantID == merchant ? $1.count : 0) }
    }

    func count(receiver: Int64) -> Int {
        reduce(0) { $0 + ($1.queue.receiverID == receiver ? $1.count : 0) }
    }

    var total: Int { reduce(0) { $0 + $1.count } }
}

extension Turns {
    /// Takes all that was granted, as a claim does that finds enough work.
    mutating func take(_ grants: [Grant]) {
        for grant in grants { took(grant.count, from: grant.candidate, hasMore: true) }
    }
}

extension Turns.Grant {
    var candidate: Turns.Candidate { Turns.Candidate(merchantID: merchantID, queue: queue) }
}

/// `docs/architecture.md`, rule 5.
@Suite struct TurnsTests {
    /// One merchant with `count` receivers, numbered from `first`, in one lane.
    private func queues(_ lane: Lane, _ count: Int, from first: Int64, merchant: Int64 = 1) -> [Turns.Candidate] {
        (0..<Int64(count)).map { candidate(merchant, first + $0, lane) }
    }

    // MARK: Lanes

    @Test(arguments: [12, 120, 1_024, 1_200])
    func lanesShareEightThreeOne(slots: Int) {
        var turns = Turns(nodeSlots: slots)
        let all = queues(.live, 20, from: 100) + queues(.retry, 20, from: 200) + queues(.resend, 20, from: 300)
        let grants = turns.grants(for: all)
        #expect(grants.total == slots)
        #expect(grants.count(.retry) == slots * 3 / 12)
        #expect(grants.count(.resend) == slots / 12)
    }

    /// A lane that holds more than its share waits until the others have theirs, however much of it there is.
    @Test func aFullNodeSharesWhatComesFree() {
        var turns = Turns(nodeSlots: 1_000)
        turns.took(1_000, from: candidate(1, 1), hasMore: true)
        turns.gaveBack(24, to: QueueID(receiverID: 1, lane: .live))
        let grants = turns.grants(for: [candidate(2, 2), candidate(2, 3, .retry), candidate(2, 4, .resend)])
        #expect(Lane.allCases.map { grants.count($0) } == [0, 22, 2])
    }

    /// At least one each, also where slots come free by ones and twos.
    @Test(arguments: 1...11)
    func noLaneWaitsForEver(freed: Int) {
        var turns = Turns(nodeSlots: 120, receiverSlots: 120)
        let all = [candidate(1, 1), candidate(1, 2, .retry), candidate(1, 3, .resend)]
        var inFlight = Array(repeating: QueueID(receiverID: 1, lane: .live), count: 120)
        turns.took(120, from: all[0], hasMore: true)
        var granted: [Lane: Int] = [:]
        for _ in 0..<500 {
            for queue in inFlight.prefix(freed) { turns.gaveBack(1, to: queue) }
            inFlight.removeFirst(freed)
            let grants = turns.grants(for: all)
            turns.take(grants)
            for grant in grants {
                granted[grant.queue.lane, default: 0] += grant.count
                inFlight += Array(repeating: grant.queue, count: grant.count)
            }
            #expect(inFlight.count == 120)
        }
        for lane in Lane.allCases {
            #expect((granted[lane] ?? 0) * 2 >= 500 * freed * lane.share / 12, "\(lane) had \(granted)")
        }
    }

    @Test func anUnusedShareFlowsOn() {
        var turns = Turns(nodeSlots: 120)
        #expect(turns.grants(for: queues(.live, 9, from: 1)).total == 120)
        let two = turns.grants(for: queues(.live, 9, from: 1) + queues(.resend, 9, from: 100))
        #expect(two.count(.live) == 110)
        #expect(two.count(.resend) == 10)
        let short = turns.grants(for: queues(.retry, 9, from: 1) + queues(.resend, 9, from: 100))
        #expect(short.count(.resend) >= 10)
        #expect(short.count(.retry) >= 30 + 60)
    }

    /// Nobody is granted more than is due; what that leaves goes to the others.
    @Test func grantsWhatIsDue() {
        var turns = Turns(nodeSlots: 120)
        let all = [candidate(1, 1), candidate(2, 2), candidate(3, 3, .resend)]
        let grants = turns.grants(for: all) { $0.merchantID == 1 ? 5 : $0.merchantID == 2 ? 0 : 1_000 }
        #expect(grants.map(\.count) == [5, 0, 85])
    }

    /// Enough to fill the node, whoever turns out to have work.
    @Test(arguments: [1, 10, 64, 700])
    func looksFarEnoughAhead(candidates: Int) {
        let turns = Turns(nodeSlots: 1_024)
        #expect(turns.lookahead(candidates: candidates) * candidates > 1_024)
        #expect(turns.lookahead(candidates: candidates) * candidates <= 2_048 + 17 * candidates)
        #expect(turns.lookahead(candidates: 0) > 0)
    }

    /// A long backlog is not read for a receiver that has room for little.
    @Test func looksNoFurtherThanAReceiverHasRoom() {
        var turns = Turns(nodeSlots: 1_000, receiverSlots: 100)
        let full = candidate(1, 1, .resend)
        #expect(turns.lookahead(of: full, among: 1) == 76)
        turns.take(turns.grants(for: [full]))
        #expect(turns.lookahead(of: full, among: 1) == 1, "one, to see that there is more")
        #expect(turns.lookahead(of: candidate(1, 1, .live), among: 1) == 26)
        #expect(turns.lookahead(of: candidate(1, 2, .live), among: 50) == turns.lookahead(candidates: 50))
    }

    /// An idle node still has room for the live change of the next moment.
    @Test func laterLanesLeaveRoomOnTheNode() {
        var turns = Turns(nodeSlots: 1_000)
        #expect(turns.grants(for: queues(.retry, 9, from: 1)).total == 880)
        #expect(turns.grants(for: queues(.resend, 9, from: 1)).total == 750)
    }

    // MARK: Ceilings

    @Test(arguments: [(Lane.live, 100), (.retry, 88), (.resend, 75)])
    func aReceiverHasACeilingByLane(lane: Lane, ceiling: Int) {
        var turns = Turns(nodeSlots: 1_000, receiverSlots: 100)
        let grants = turns.grants(for: [candidate(1, 1, lane), candidate(1, 2, lane)])
        #expect(grants.map(\.count) == [ceiling, ceiling])
        turns.take(grants)
        #expect(turns.grants(for: [candidate(1, 1, lane)]).total == 0)
        turns.gaveBack(5, to: grants[0].queue)
        #expect(turns.grants(for: [candidate(1, 1, lane)]).total == 5)
    }

    @Test func lanesShareAReceiversSlots() {
        var turns = Turns(nodeSlots: 1_000, receiverSlots: 100)
        turns.took(80, from: candidate(1, 1), hasMore: true)
        #expect(turns.grants(for: [candidate(1, 1, .resend)]).total == 0)
        #expect(turns.grants(for: [candidate(1, 1, .retry)]).total == 8)
        #expect(turns.grants(for: [candidate(1, 1, .live)]).total == 20)
        #expect(turns.grants(for: Lane.allCases.map { candidate(1, 1, $0) }).total == 20)
    }

    @Test func defaultsAreTheDocumentedOnes() {
        var turns = Turns()
        #expect(turns.grants(for: queues(.live, 3, from: 1)).map(\.count) == [256, 256, 256])
        #expect(turns.grants(for: queues(.live, 9, from: 1)).total == 1_024)
    }

    @Test func aFullNodeGrantsNothing() {
        var turns = Turns(nodeSlots: 10)
        #expect(turns.hasRoom)
        turns.took(10, from: candidate(1, 1), hasMore: true)
        #expect(!turns.hasRoom)
        #expect(turns.heldCount == 10)
        let grants = turns.grants(for: [candidate(1, 1), candidate(2, 2)])
        #expect(grants.map(\.count) == [0, 0])
        turns.gaveBack(1, to: QueueID(receiverID: 1, lane: .live))
        #expect(turns.hasRoom)
        #expect(turns.grants(for: [candidate(1, 1), candidate(2, 2)]).total == 1)
    }

    @Test(arguments: Lane.allCases)
    func theSmallestNodeStillWorks(lane: Lane) {
        var turns = Turns(nodeSlots: 1, receiverSlots: 1)
        #expect(turns.grants(for: [candidate(1, 1, lane)]).total == 1)
    }

    @Test func givingBackMoreThanIsHeldChangesNothingElse() {
        var turns = Turns(nodeSlots: 10)
        turns.took(3, from: candidate(1, 1), hasMore: false)
        turns.gaveBack(5, to: QueueID(receiverID: 1, lane: .live))
        turns.gaveBack(1, to: QueueID(receiverID: 1, lane: .live))
        turns.gaveBack(1, to: QueueID(receiverID: 9, lane: .live))
        #expect(turns.heldCount == 0)
        #expect(turns.grants(for: [candidate(1, 1)]).total == 10)
    }

    // MARK: Backlog

    @Test func remembersWhoHasMore() {
        var turns = Turns()
        turns.took(5, from: candidate(1, 1), hasMore: true)
        turns.took(0, from: candidate(1, 2), hasMore: true)
        turns.took(5, from: candidate(1, 3), hasMore: false)
        #expect(turns.backlog == [candidate(1, 1), candidate(1, 2)])
        turns.took(0, from: candidate(1, 1), hasMore: false)
        #expect(turns.backlog == [candidate(1, 2)])
        #expect(turns.heldCount == 10)
    }
}
