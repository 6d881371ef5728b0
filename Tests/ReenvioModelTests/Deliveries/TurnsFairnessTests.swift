import ReenvioModel
import Testing

@Suite struct TurnsFairnessTests {
    // MARK: Merchants

    @Test(arguments: Lane.allCases)
    func merchantsHavePortionsOfOneRound(lane: Lane) {
        var turns = Turns(nodeSlots: 4 * 160, receiverSlots: 640)
        let many = (1...50).map { candidate(1, $0, lane) }
        let grants = turns.grants(for: many + [candidate(2, 60, lane), candidate(3, 61, lane)])
        #expect(abs(grants.count(merchant: 1) - grants.count(merchant: 2)) <= 32)
        #expect(abs(grants.count(merchant: 1) - grants.count(merchant: 3)) <= 32)
    }

    /// Merchants alternate across calls too: nobody is always first.
    @Test(arguments: [1, 2, 3, 7, 16, 17, 40, 100], [2, 3, 5])
    func merchantsTakeTurns(slots: Int, merchants: Int) {
        var turns = Turns(nodeSlots: slots)
        // The first merchant has many receivers, which gives it no more.
        let all = (1...Int64(merchants)).flatMap { id -> [Turns.Candidate] in
            (0..<Int64(id == 1 ? 20 : 1)).map { candidate(id, id * 100 + $0) }
        }
        var granted: [Int64: Int] = [:]
        let calls = 60 * merchants
        for _ in 0..<calls {
            let grants = turns.grants(for: all)
            #expect(grants.total == slots)
            for grant in grants { granted[grant.merchantID, default: 0] += grant.count }
        }
        let fair = calls * slots / merchants
        for id in 1...Int64(merchants) {
            let got = granted[id] ?? 0
            #expect(abs(got - fair) <= max(32, fair / 10), "merchant \(id) of \(merchants) got \(got), fair is \(fair)")
        }
    }

    @Test func theRotationGoesOnInAnotherCopy() {
        var turns = Turns(nodeSlots: 16)
        let all = [candidate(1, 1), candidate(2, 2), candidate(3, 3)]
        var served: [Int64] = []
        for _ in 0..<6 {
            var copy = turns
            served += copy.grants(for: all).filter { $0.count > 0 }.map(\.merchantID)
            turns.continueRotation(of: copy)
        }
        #expect(served == [1, 2, 3, 1, 2, 3])
    }

    /// A merchant whose turn it is but who has nothing due loses it.
    @Test func anAbsentMerchantHoldsNobodyUp() {
        var turns = Turns(nodeSlots: 4)
        #expect(turns.grants(for: [candidate(1, 1), candidate(2, 2)]).map(\.count) == [4, 0])
        #expect(turns.grants(for: [candidate(2, 2), candidate(3, 3)]).map(\.count) == [4, 0])
        #expect(turns.grants(for: [candidate(1, 1)]).map(\.count) == [4])
    }

    // MARK: Receivers

    /// A receiver with an endless backlog does not keep its merchant's others waiting.
    @Test(arguments: [1, 2, 16, 40], [1, 2, 3])
    func receiversOfAMerchantTakeTurns(slots: Int, merchants: Int) {
        var turns = Turns(nodeSlots: slots)
        let receivers = 3
        let all = (1...Int64(merchants)).flatMap { id -> [Turns.Candidate] in
            (0..<Int64(receivers)).map { candidate(id, id * 100 + $0) }
        }
        var granted: [Int64: Int] = [:]
        let calls = 100 * receivers * merchants
        for _ in 0..<calls {
            for grant in turns.grants(for: all) { granted[grant.queue.receiverID, default: 0] += grant.count }
        }
        let fair = calls * slots / receivers / merchants
        for queue in all {
            let got = granted[queue.queue.receiverID] ?? 0
            #expect(got * 2 >= fair, "receiver \(queue.queue.receiverID) got \(got), fair is \(fair)")
        }
    }

    @Test func aFullReceiverKeepsNobodyWaiting() {
        var turns = Turns(nodeSlots: 100, receiverSlots: 10)
        turns.took(10, from: candidate(1, 1), hasMore: true)
        let grants = turns.grants(for: [candidate(1, 1), candidate(1, 2), candidate(2, 3)])
        #expect(grants.map(\.count) == [0, 10, 10])
    }

    // MARK: Properties

    /// Random work on random nodes: bounds hold, every candidate has one answer, and nothing free is left unused while
    /// a candidate's receiver and lane have room.
    @Test(arguments: 0..<150 as Range<UInt64>)
    func neverGrantsTooMuchOrTooLittle(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let nodeSlots = Int.random(in: 1...300, using: &random)
        let receiverSlots = Int.random(in: 1...80, using: &random)
        var turns = Turns(nodeSlots: nodeSlots, receiverSlots: receiverSlots)
        var held: [QueueID: Int] = [:]
        for _ in 0..<30 {
            let candidates = candidates(using: &random)
            let due = due(candidates, using: &random)
            let grants = turns.grants(for: candidates) { due[$0] ?? 0 }
            expectOneAnswerEach(grants, candidates)
            expectWithinBounds(grants, held, nodeSlots: nodeSlots, receiverSlots: receiverSlots)
            let unmet = grants.filter { $0.count < due[$0.candidate] ?? 0 }
            expectNothingWasted(grants, held, unmet, nodeSlots: nodeSlots, receiverSlots: receiverSlots)
            for grant in grants {
                #expect(grant.count <= due[grant.candidate] ?? 0)
                let taken = Int.random(in: 0...grant.count, using: &random)
                turns.took(
                    taken, from: grant.candidate, hasMore: taken == grant.count)
                held[grant.queue, default: 0] += taken
            }
            for (queue, count) in held.sorted(by: { $0.key.raw < $1.key.raw }) where Bool.random(using: &random) {
                let back = Int.random(in: 0...count, using: &random)
                turns.gaveBack(back, to: queue)
                held[queue] = count - back
            }
            #expect(turns.heldCount == held.values.reduce(0, +))
        }
    }

    private func candidates(using random: inout SplitMix64) -> [Turns.Candidate] {
        var all: Set<Turns.Candidate> = []
        for _ in 0..<Int.random(in: 0...20, using: &random) {
            let receiver = Int64.random(in: 1...12, using: &random)
            all.insert(candidate(receiver % 4, receiver, Lane.allCases.randomElement(using: &random) ?? .live))
        }
        return all.sorted { $0.queue.raw < $1.queue.raw }.shuffled(using: &random)
    }

    private func due(_ all: [Turns.Candidate], using random: inout SplitMix64) -> [Turns.Candidate: Int] {
        var due: [Turns.Candidate: Int] = [:]
        for one in all { due[one] = [0, 1, 5, 40, .max].randomElement(using: &random) }
        return due
    }

    private func expectOneAnswerEach(_ grants: [Turns.Grant], _ candidates: [Turns.Candidate]) {
        let answered = grants.map(\.candidate)
        #expect(Set(answered) == Set(candidates))
        #expect(answered.count == candidates.count)
        // In the order in which a claim locks rows.
        #expect(
            zip(grants, grants.dropFirst()).allSatisfy { ($0.merchantID, $0.queue.raw) < ($1.merchantID, $1.queue.raw) }
        )
    }

    private func heldBy(_ receiver: Int64, _ held: [QueueID: Int]) -> Int {
        held.reduce(0) { $0 + ($1.key.receiverID == receiver ? $1.value : 0) }
    }

    private func ceiling(_ slots: Int, _ lane: Lane) -> Int {
        max(1, slots * lane.ceilingPercent / 100)
    }

    private func expectWithinBounds(
        _ grants: [Turns.Grant], _ held: [QueueID: Int], nodeSlots: Int, receiverSlots: Int
    ) {
        #expect(grants.allSatisfy { $0.count >= 0 })
        #expect(grants.total + held.values.reduce(0, +) <= nodeSlots)
        for grant in grants where grant.count > 0 {
            let receiver = grant.queue.receiverID
            let before = heldBy(receiver, held)
            #expect(before + grants.count(receiver: receiver) <= receiverSlots)
            #expect(before + grant.count <= ceiling(receiverSlots, grant.queue.lane))
        }
    }

    private func expectNothingWasted(
        _ grants: [Turns.Grant], _ held: [QueueID: Int], _ unmet: [Turns.Grant], nodeSlots: Int, receiverSlots: Int
    ) {
        let used = grants.total + held.values.reduce(0, +)
        for grant in unmet where used < ceiling(nodeSlots, grant.queue.lane) {
            let receiver = grant.queue.receiverID
            let total = heldBy(receiver, held) + grants.count(receiver: receiver)
            #expect(total >= ceiling(receiverSlots, grant.queue.lane), "\(grant) could have had more")
        }
    }
}
