/// Whose turn it is: shares free slots among lanes, merchants and receivers (`docs/architecture.md`, rule 5). A pure
/// value: the dispatcher fills in what is held, the claim asks for grants.
package struct Turns: Sendable {
    /// A queue with work that is due.
    package struct Candidate: Hashable, Sendable {
        package var merchantID: Int64
        package var queue: QueueID

        package init(merchantID: Int64, queue: QueueID) {
            self.merchantID = merchantID
            self.queue = queue
        }
    }

    /// Permission to take up to `count` deliveries from a queue; 0 when its receiver has no free slot now.
    package struct Grant: Equatable, Sendable {
        package var merchantID: Int64
        package var queue: QueueID
        package var count: Int
    }

    /// Slots a queue gets per round, so that merchants alternate in small portions.
    private static let quantum = 16

    private let nodeSlots: Int
    private let receiverSlots: Int
    /// Claimed and not yet ended, by receiver and lane.
    private var held: [QueueID: Int]
    private var heldInAll: Int
    /// Queues known to hold more due work than was taken.
    package private(set) var backlog: Set<Candidate>
    /// The merchant served last in each lane; the next round begins after it.
    private var lastMerchant: [Lane: Int64] = [:]

    package init(
        nodeSlots: Int = Limits.attemptsInFlightPerNode, receiverSlots: Int = Limits.attemptsInFlightPerReceiver
    ) {
        self.nodeSlots = nodeSlots
        self.receiverSlots = receiverSlots
        held = [:]
        heldInAll = 0
        backlog = []
    }

    package var heldCount: Int { heldInAll }

    /// Whether a claim could bring anything to this node now.
    package var hasRoom: Bool { heldInAll < nodeSlots }

    package mutating func took(_ count: Int, from candidate: Candidate, hasMore: Bool) {
        if count > 0 {
            held[candidate.queue, default: 0] += count
            heldInAll += count
        }
        if hasMore { backlog.insert(candidate) } else { backlog.remove(candidate) }
    }

    package mutating func gaveBack(_ count: Int, to queue: QueueID) {
        guard let before = held[queue] else { return }
        let after = before - count
        held[queue] = after > 0 ? after : nil
        heldInAll -= min(count, before)
    }

    /// Shares the free slots among the candidates, lane by lane. Every candidate gets a grant, with 0 where nothing is
    /// free. First each lane may use its share, then what is left flows down from live to resend.
    package mutating func grants(for candidates: [Candidate]) -> [Grant] {
        var deal = Deal(turns: self, candidates: candidates)
        let free = max(0, nodeSlots - heldInAll)
        let allShares = Lane.allCases.reduce(0) { $0 + $1.share }
        for lane in Lane.allCases { deal.rounds(lane, upTo: max(1, free * lane.share / allShares)) }
        for lane in Lane.allCases { deal.rounds(lane, upTo: free) }
        lastMerchant = deal.lastMerchant
        return deal.grants
    }

    /// Continues the rotation where a claim left it.
    package mutating func continueRotation(of other: Turns) {
        lastMerchant = other.lastMerchant
    }

    /// One distribution of slots, under way.
    private struct Deal {
        let turns: Turns
        var grants: [Grant]
        var lastMerchant: [Lane: Int64]
        private var grantedInAll = 0
        private var grantedByReceiver: [Int64: Int] = [:]
        private var indices: [Lane: [Int]] = [:]

        init(turns: Turns, candidates: [Candidate]) {
            self.turns = turns
            lastMerchant = turns.lastMerchant
            let sorted = candidates.sorted { ($0.merchantID, $0.queue.raw) < ($1.merchantID, $1.queue.raw) }
            grants = sorted.map { Grant(merchantID: $0.merchantID, queue: $0.queue, count: 0) }
            for lane in Lane.allCases {
                let last = lastMerchant[lane] ?? Int64.min
                let inLane = grants.indices.filter { grants[$0].queue.lane == lane }
                let next = inLane.filter { grants[$0].merchantID > last }
                indices[lane] = next + inLane.filter { grants[$0].merchantID <= last }
            }
        }

        /// Deals up to `slots` in rounds over the merchants, a quantum each, until nobody has room for more.
        mutating func rounds(_ lane: Lane, upTo slots: Int) {
            var remaining = min(slots, nodeRoom(lane))
            var progressed = true
            while remaining > 0, progressed {
                progressed = false
                var served: [Int64: Int] = [:]
                for index in indices[lane] ?? [] where remaining > 0 {
                    let merchant = grants[index].merchantID
                    let portion = Turns.quantum - (served[merchant] ?? 0)
                    let room = min(receiverRoom(grants[index].queue), portion, remaining)
                    guard room > 0 else { continue }
                    grants[index].count += room
                    grantedInAll += room
                    grantedByReceiver[grants[index].queue.receiverID, default: 0] += room
                    served[merchant, default: 0] += room
                    lastMerchant[lane] = merchant
                    remaining -= room
                    progressed = true
                }
            }
        }

        /// Later lanes leave some of the node's slots to earlier ones, and some of each receiver's.
        private func nodeRoom(_ lane: Lane) -> Int {
            max(0, turns.nodeSlots * lane.ceilingPercent / 100 - turns.heldInAll - grantedInAll)
        }

        private func receiverRoom(_ queue: QueueID) -> Int {
            let held = Lane.allCases.reduce(0) {
                $0 + (turns.held[QueueID(receiverID: queue.receiverID, lane: $1)] ?? 0)
            }
            let ceiling = max(1, turns.receiverSlots * queue.lane.ceilingPercent / 100)
            return max(0, ceiling - held - (grantedByReceiver[queue.receiverID] ?? 0))
        }
    }
}
