import ReenvioModel
import Testing

/// New and silent receivers, and merchants with many of them, never hold the node (`docs/contract.md` 3.4).
struct TurnsUnprovenTests {
    private static func candidate(_ merchantID: Int64, _ receiverID: Int64) -> Turns.Candidate {
        Turns.Candidate(merchantID: merchantID, queue: QueueID(receiverID: receiverID, lane: .live))
    }

    /// Grants until nothing more is given, with everything held.
    private static func fill(_ turns: inout Turns, _ candidates: [Turns.Candidate]) -> [Int64: Int] {
        var taken: [Int64: Int] = [:]
        for _ in 0..<50 {
            let grants = turns.grants(for: candidates).filter { $0.count > 0 }
            if grants.isEmpty { return taken }
            for grant in grants {
                let candidate = Turns.Candidate(merchantID: grant.merchantID, queue: grant.queue)
                turns.took(grant.count, from: candidate, hasMore: true)
                taken[grant.queue.receiverID, default: 0] += grant.count
            }
        }
        return taken
    }

    @Test("a merchant's receivers that never acknowledged share a sixteenth of the node, half of it for new ones")
    func ofOneMerchant() {
        var turns = Turns(nodeSlots: 1_024, receiverSlots: 256, slotsAtFirst: 16)
        let silent = (1...100).map { Self.candidate(7, $0) }
        let taken = Self.fill(&turns, silent)
        #expect(taken.values.reduce(0, +) == 64)
        #expect(taken.count > 30, "those that hold nothing yet get one each")
        #expect(turns.heldCount == 64)
    }

    @Test("those of all merchants share a quarter, and what has proven itself is not held up")
    func ofAllMerchants() {
        var turns = Turns(nodeSlots: 1_024, receiverSlots: 256, slotsAtFirst: 16)
        let silent = (1...20).flatMap { merchant in
            (1...10).map { Self.candidate(Int64(merchant), Int64(merchant * 100 + $0)) }
        }
        #expect(Self.fill(&turns, silent).values.reduce(0, +) == 256)
        turns.setSlots(200, isProven: true, of: 9_999)
        #expect(Self.fill(&turns, silent + [Self.candidate(7, 9_999)])[9_999] == 200)
    }

    @Test("one merchant holds at most half of the node, whatever its receivers bear")
    func merchantCeiling() {
        var turns = Turns(nodeSlots: 1_024, receiverSlots: 256, slotsAtFirst: 16)
        for receiverID in 1...8 { turns.setSlots(256, isProven: true, of: Int64(receiverID)) }
        let own = (1...8).map { Self.candidate(7, $0) }
        #expect(Self.fill(&turns, own).values.reduce(0, +) == 512)
        turns.setSlots(256, isProven: true, of: 50)
        #expect(Self.fill(&turns, own + [Self.candidate(8, 50)])[50] == 256)
    }

    @Test("of thousands of silent receivers with work no more are looked at than could get something")
    func looksAtFew() {
        var turns = Turns(nodeSlots: 1_024, receiverSlots: 256, slotsAtFirst: 16)
        let silent = (1...10).flatMap { merchant in
            (1...500).map { Self.candidate(Int64(merchant), Int64(merchant * 1_000 + $0)) }
        }
        let healthy = (1...100).map { Self.candidate(77, Int64($0)) }
        for candidate in healthy { turns.setSlots(16, isProven: true, of: candidate.queue.receiverID) }
        for candidate in silent + healthy { turns.took(0, from: candidate, hasMore: true) }
        let offered = turns.backlogWithRoom(limit: 1_000)
        #expect(Set(offered).isSuperset(of: healthy))
        #expect(offered.count == 100 + 256, "what all of them may hold together")
        for candidate in silent.prefix(64) { turns.took(1, from: candidate, hasMore: true) }
        #expect(!turns.backlogWithRoom(limit: 1_000).contains { $0.merchantID == 1 }, "it has its share")
        for merchant in 1..<4 {
            for candidate in silent[(merchant * 500)...].prefix(64) { turns.took(1, from: candidate, hasMore: true) }
        }
        #expect(Set(turns.backlogWithRoom(limit: 1_000)) == Set(healthy), "all of them have theirs")
        turns.took(100, from: silent[4_000], hasMore: true)
        #expect(Set(turns.backlogWithRoom(limit: 1_000)) == Set(healthy), "so they have when one broke that held much")
        for candidate in healthy.prefix(32) { turns.took(16, from: candidate, hasMore: true) }
        #expect(turns.backlogWithRoom(limit: 1_000).isEmpty, "the merchant holds half of the node")
    }

    @Test("what is given back can be held again, and a receiver that breaks is unproven again")
    func givenBack() {
        var turns = Turns(nodeSlots: 64, receiverSlots: 32, slotsAtFirst: 4)
        let first = Self.candidate(7, 1)
        #expect(Self.fill(&turns, [first]) == [1: 4])
        turns.gaveBack(4, to: first.queue)
        #expect(Self.fill(&turns, [first]) == [1: 4])
        turns.gaveBack(4, to: first.queue)
        turns.setSlots(32, isProven: true, of: 1)
        #expect(Self.fill(&turns, [first]) == [1: 32])
        turns.gaveBack(32, to: first.queue)
        turns.setSlots(1, isProven: false, of: 1)
        #expect(Self.fill(&turns, [first]) == [1: 1])
    }

    @Test("nothing is to be shared where every bound that is common to several leaves room for all they may get")
    func nothingToShare() {
        var turns = Turns(nodeSlots: 1_024, receiverSlots: 256, slotsAtFirst: 16)
        for receiverID in 1...8 { turns.setSlots(200, isProven: true, of: Int64(receiverID)) }
        func candidates(_ pairs: [(Int64, Int64)]) -> [Turns.Candidate] { pairs.map { Self.candidate($0.0, $0.1) } }
        #expect(turns.haveNothingToShare(candidates([(7, 99)])), "one alone has nobody beside it")
        #expect(turns.haveNothingToShare(candidates([(7, 1), (8, 2), (9, 3)])))
        #expect(!turns.haveNothingToShare(candidates([(7, 1), (8, 99)])), "new receivers share what they may hold")
        #expect(
            !turns.haveNothingToShare(candidates([(7, 1), (7, 2), (7, 3)])), "three are more than half of the node")
        #expect(!turns.haveNothingToShare(candidates((1...6).map { ($0, $0) })), "six are more than the node")
        let lanes = [Lane.live, .resend].map {
            Turns.Candidate(merchantID: 7, queue: QueueID(receiverID: 1, lane: $0))
        }
        #expect(!turns.haveNothingToShare(lanes), "the lanes of a receiver share what it bears")
        turns.took(200, from: Self.candidate(7, 4), hasMore: false)
        turns.took(200, from: Self.candidate(7, 5), hasMore: false)
        #expect(!turns.haveNothingToShare(candidates([(7, 1), (8, 2)])), "what a merchant holds counts")
        #expect(turns.haveNothingToShare(candidates([(9, 1), (8, 2)])))
        turns.resendsAtOnce = 10
        #expect(!turns.haveNothingToShare(candidates([(9, 1), (8, 2)])))
    }
}
