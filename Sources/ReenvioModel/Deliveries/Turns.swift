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

    /// Slots a merchant gets per round, so that merchants alternate in small portions.
    private static let quantum = 16

    /// The merchant served last, and what the end of the slots cut off its portion: it goes on with that before the
    /// next merchant's turn comes.
    private struct Turn {
        var merchantID: Int64
        var left: Int
    }

    private let nodeSlots: Int
    private let receiverSlots: Int
    /// What a receiver may hold of which nothing is known.
    private let slotsAtFirst: Int
    /// What the others may hold.
    private var slotsByReceiver: [Int64: Int] = [:]
    /// What each may hold of resends, beside the rest; those not named hold as much as the first time.
    private var resendSlotsByReceiver: [Int64: Int] = [:]
    private let resendSlotsAtFirst: Int
    /// Whether receivers that never acknowledged anything share what they may hold.
    private let boundsUnproven: Bool
    /// Receivers that have acknowledged something.
    private var proven: Set<Int64> = []
    /// Whose receivers hold something.
    private var merchantOf: [Int64: Int64] = [:]
    /// Claimed and not yet ended, by receiver and lane.
    private var held: [QueueID: Int]
    private var heldInAll: Int
    /// Queues known to hold more due work than was taken.
    package private(set) var backlog: Set<Candidate>
    /// Whose turn it is in each lane.
    private var turn: [Lane: Turn] = [:]
    /// The most deliveries of resends in one distribution; nil for no such bound.
    package var resendsAtOnce: Int?
    /// Distributions so far; each asks a merchant's receivers in another order.
    private var deals: UInt64 = 0

    package init(
        nodeSlots: Int = Limits.attemptsInFlightPerNode, receiverSlots: Int = Limits.attemptsInFlightPerReceiver,
        slotsAtFirst: Int? = nil, resendSlotsAtFirst: Int? = nil
    ) {
        self.nodeSlots = nodeSlots
        self.receiverSlots = receiverSlots
        self.slotsAtFirst = min(slotsAtFirst ?? receiverSlots, receiverSlots)
        self.resendSlotsAtFirst = resendSlotsAtFirst ?? receiverSlots
        boundsUnproven = slotsAtFirst != nil
        held = [:]
        heldInAll = 0
        backlog = []
    }

    package var heldCount: Int { heldInAll }

    /// Sets how much the receiver may hold from now on; what it holds already stays.
    package mutating func setSlots(_ slots: Int, isProven: Bool = true, of receiverID: Int64) {
        slotsByReceiver[receiverID] = min(slots, receiverSlots)
        if isProven { proven.insert(receiverID) } else { proven.remove(receiverID) }
    }

    /// Sets how many attempts of resends it may hold; nil for as many as the first time.
    package mutating func setResendSlots(_ slots: Int?, of receiverID: Int64) {
        resendSlotsByReceiver[receiverID] = slots
    }

    /// Back to what a receiver gets of which nothing is known.
    package mutating func forgetSlots(of receiverID: Int64) {
        slotsByReceiver[receiverID] = nil
        resendSlotsByReceiver[receiverID] = nil
        proven.remove(receiverID)
    }

    /// Of a merchant's new and silent receivers together, and of those of all merchants: who names many URLs that never
    /// answer must not hold the node.
    private var unprovenPerMerchant: Int { max(1, nodeSlots / 16) }
    private var unprovenInAll: Int { max(1, nodeSlots / 4) }
    /// What one merchant may hold.
    private var merchantSlots: Int { boundsUnproven ? max(1, nodeSlots / 2) : nodeSlots }

    private func isBounded(_ receiverID: Int64) -> Bool {
        boundsUnproven && !proven.contains(receiverID)
    }

    package func isBusy(_ receiverID: Int64) -> Bool {
        Lane.allCases.contains { held[QueueID(receiverID: receiverID, lane: $0)] != nil }
    }

    private func ceiling(_ queue: QueueID) -> Int {
        max(1, (slotsByReceiver[queue.receiverID] ?? slotsAtFirst) * queue.lane.ceilingPercent / 100)
    }

    /// What a lane may hold of a receiver's attempts, whatever the others hold.
    private func laneCeiling(_ queue: QueueID) -> Int {
        queue.lane == .resend ? resendSlotsByReceiver[queue.receiverID] ?? resendSlotsAtFirst : .max
    }

    /// Backlogged queues that could get something now, where their receiver, their merchant and those who share with
    /// them are concerned; where there are more than `limit`, another part of them each time. Of new and silent
    /// receivers no more than there is room for: thousands of them must not keep a claim busy.
    package func backlogWithRoom(limit: Int) -> [Candidate] {
        let holds = Holds(self)
        var open: [Candidate] = []
        var unproven: [Int64: [Candidate]] = [:]
        for candidate in backlog {
            let receiverID = candidate.queue.receiverID
            guard isBounded(receiverID) else {
                if holds.room(for: candidate, self) > 0 { open.append(candidate) }
                continue
            }
            if holds.unprovenRoom(for: candidate, isNew: holds.byReceiver[receiverID] == nil, self) > 0,
                holds.room(for: candidate, self) > 0
            {
                unproven[candidate.merchantID, default: []].append(candidate)
            }
        }
        var few: [Candidate] = []
        for (merchantID, own) in unproven {
            few += part(of: own, unprovenPerMerchant - (holds.unprovenByMerchant[merchantID] ?? 0))
        }
        return part(of: open + part(of: few, unprovenInAll - holds.unproven), limit)
    }

    /// At most so many of them, others in each distribution.
    private func part(of candidates: [Candidate], _ limit: Int) -> [Candidate] {
        let limit = max(0, limit)
        guard candidates.count > limit else { return candidates }
        let sorted = candidates.sorted { ($0.merchantID, $0.queue.raw) < ($1.merchantID, $1.queue.raw) }
        let start = Int(deals % UInt64(sorted.count))
        return (0..<limit).map { sorted[(start + $0 * sorted.count / limit) % sorted.count] }
    }

    /// What is held: by receiver, by merchant, by the unproven of a merchant, and by all unproven.
    private struct Holds {
        private(set) var byReceiver: [Int64: Int] = [:]
        private var resends: [Int64: Int] = [:]
        private(set) var byMerchant: [Int64: Int] = [:]
        private(set) var unprovenByMerchant: [Int64: Int] = [:]
        private(set) var unproven = 0

        init(_ turns: Turns) {
            for (queue, count) in turns.held {
                note(count, turns.merchantOf[queue.receiverID] ?? 0, queue, turns)
            }
        }

        mutating func note(_ count: Int, _ merchantID: Int64, _ queue: QueueID, _ turns: Turns) {
            let receiverID = queue.receiverID
            byReceiver[receiverID, default: 0] += count
            if queue.lane == .resend { resends[receiverID, default: 0] += count }
            byMerchant[merchantID, default: 0] += count
            guard turns.isBounded(receiverID) else { return }
            unprovenByMerchant[merchantID, default: 0] += count
            unproven += count
        }

        /// What the receiver and its merchant leave.
        func room(for candidate: Candidate, _ turns: Turns) -> Int {
            let receiverID = candidate.queue.receiverID
            return min(
                turns.ceiling(candidate.queue) - (byReceiver[receiverID] ?? 0),
                turns.laneCeiling(candidate.queue) - (candidate.queue.lane == .resend ? resends[receiverID] ?? 0 : 0),
                turns.merchantSlots - (byMerchant[candidate.merchantID] ?? 0))
        }

        /// What a receiver that never acknowledged anything may still get of what all those share. Half of what a
        /// merchant's share is kept for those that hold nothing yet, one attempt each.
        func unprovenRoom(for candidate: Candidate, isNew: Bool, _ turns: Turns) -> Int {
            let most = turns.unprovenPerMerchant
            let holds = unprovenByMerchant[candidate.merchantID] ?? 0
            let own = isNew && holds >= most / 2 ? min(1, most - holds) : (isNew ? most : most / 2) - holds
            return min(own, turns.unprovenInAll - unproven)
        }
    }

    /// Whether deliveries of resends are known to be due.
    package var hasResendBacklog: Bool { backlog.contains { $0.queue.lane == .resend } }

    /// Whether a claim could bring anything to this node now.
    package var hasRoom: Bool { heldInAll < nodeSlots }

    package mutating func took(_ count: Int, from candidate: Candidate, hasMore: Bool) {
        if count > 0 {
            merchantOf[candidate.queue.receiverID] = candidate.merchantID
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
        if after <= 0, !isBusy(queue.receiverID) { merchantOf[queue.receiverID] = nil }
    }

    /// How many due deliveries of each of so many candidates are worth looking at: enough to fill what is free, without
    /// reading a whole backlog when many queues are due.
    package func lookahead(candidates: Int) -> Int {
        let free = max(0, nodeSlots - heldInAll)
        return max(Self.quantum, 2 * free / max(1, candidates)) + 1
    }

    /// The same for one of them: no further than its receiver has room, and one more to see whether there is more.
    package func lookahead(of candidate: Candidate, among candidates: Int) -> Int {
        min(lookahead(candidates: candidates), max(0, room(candidate.queue)) + 1)
    }

    /// Whether none of these has to stand back for another: there is one, or the node has room for all that their
    /// receivers may get, and no bound is common to several.
    package func haveNothingToShare(_ candidates: [Candidate]) -> Bool {
        if candidates.count <= 1 { return true }
        guard resendsAtOnce == nil else { return false }
        var free = max(0, nodeSlots - heldInAll)
        var receivers: Set<Int64> = []
        var merchants = Holds(self).byMerchant
        for candidate in candidates {
            let receiverID = candidate.queue.receiverID
            guard receivers.insert(receiverID).inserted, !isBounded(receiverID) else { return false }
            let room = max(0, room(candidate.queue))
            free -= room
            merchants[candidate.merchantID, default: 0] += room
            guard free >= 0, merchants[candidate.merchantID, default: 0] <= merchantSlots else { return false }
        }
        return true
    }

    /// What the receiver of a queue may still get for this lane.
    private func room(_ queue: QueueID) -> Int {
        let holds = Lane.allCases.reduce(0) {
            $0 + (held[QueueID(receiverID: queue.receiverID, lane: $1)] ?? 0)
        }
        return min(ceiling(queue) - holds, laneCeiling(queue) - (held[queue] ?? 0))
    }

    /// Shares the free slots among the candidates, lane by lane. Every candidate gets a grant, of no more than is `due`
    /// there and of 0 where nothing is free. First each lane that holds less than its share of the node has its share
    /// of what is free, at least 1, then the rest of what it is owed; what is left flows down from live to resend.
    package mutating func grants(for candidates: [Candidate], due: (Candidate) -> Int = { _ in .max }) -> [Grant] {
        deals &+= 1
        var deal = Deal(turns: self, candidates: candidates, due: due)
        let free = max(0, nodeSlots - heldInAll)
        for lane in neediestFirst {
            deal.rounds(lane, upTo: min(owed(lane), max(1, free * lane.share / Lane.allShares)))
        }
        for lane in neediestFirst { deal.rounds(lane, upTo: max(0, owed(lane) - deal.granted(lane))) }
        for lane in Lane.allCases { deal.rounds(lane, upTo: deal.nodeRoom(lane)) }
        turn = deal.turn
        return deal.grants
    }

    /// What a lane may still take of its own share of the node, at least 1 while it holds nothing. What it holds
    /// counts: otherwise a lane with much work would eat the room of the others, a share of the rest at a time.
    private func owed(_ lane: Lane) -> Int {
        let holds = held.reduce(0) { $0 + ($1.key.lane == lane ? $1.value : 0) }
        return max(holds == 0 ? 1 : 0, nodeSlots * lane.share / Lane.allShares - holds)
    }

    /// The lanes by what they hold for their share: where slots come free by ones and twos, the order decides.
    private var neediestFirst: [Lane] {
        var heldByLane: [Lane: Int] = [:]
        for (queue, count) in held { heldByLane[queue.lane, default: 0] += count }
        func load(_ lane: Lane) -> Int { heldByLane[lane] ?? 0 }
        return Lane.allCases.sorted { (load($0) * $1.share, $0) < (load($1) * $0.share, $1) }
    }

    /// Continues the rotation where a claim left it.
    package mutating func continueRotation(of other: Turns) {
        turn = other.turn
        deals = other.deals
    }

    /// One distribution of slots, under way.
    private struct Deal {
        let turns: Turns
        var grants: [Grant]
        var turn: [Lane: Turn]
        /// What is due and not yet granted, place by place as in `grants`.
        private var due: [Int]
        private var grantedInAll = 0
        /// Held and granted.
        private var holds: Holds
        /// Places in `grants` by lane, those of one merchant together, merchants in ascending order.
        private var merchants: [Lane: [ArraySlice<Int>]] = [:]

        init(turns: Turns, candidates: [Candidate], due: (Candidate) -> Int) {
            self.turns = turns
            turn = turns.turn
            let sorted = candidates.sorted { ($0.merchantID, $0.queue.raw) < ($1.merchantID, $1.queue.raw) }
            grants = sorted.map { Grant(merchantID: $0.merchantID, queue: $0.queue, count: 0) }
            self.due = sorted.map(due)
            holds = Holds(turns)
            for lane in Lane.allCases {
                var rest = grants.indices.filter { grants[$0].queue.lane == lane }
                    .sorted { order(grants[$0]) < order(grants[$1]) }[...]
                while let first = rest.first {
                    let own = rest.prefix { grants[$0].merchantID == grants[first].merchantID }
                    merchants[lane, default: []].append(own)
                    rest = rest.dropFirst(own.count)
                }
            }
        }

        /// Merchants by id, the receivers of each shuffled anew in every distribution.
        private func order(_ grant: Grant) -> (Int64, UInt64) {
            var bits = UInt64(bitPattern: grant.queue.receiverID) &+ turns.deals &* 0x9E37_79B9_7F4A_7C15
            bits = (bits ^ (bits >> 30)) &* 0xBF58_476D_1CE4_E5B9
            bits = (bits ^ (bits >> 27)) &* 0x94D0_49BB_1331_11EB
            return (grant.merchantID, bits ^ (bits >> 31))
        }

        func granted(_ lane: Lane) -> Int {
            grants.reduce(0) { $0 + ($1.queue.lane == lane ? $1.count : 0) }
        }

        /// Deals up to `slots` in rounds over the merchants, a quantum each, until nobody has room for more.
        mutating func rounds(_ lane: Lane, upTo slots: Int) {
            var remaining = min(slots, turns.nodeSlots - turns.heldInAll - grantedInAll)
            if lane == .resend, let most = turns.resendsAtOnce { remaining = min(remaining, most - granted(lane)) }
            let inTurn = merchantsInTurn(lane)
            var progressed = true
            while remaining > 0, progressed {
                let before = remaining
                for indices in inTurn where remaining > 0 { serve(indices, lane, &remaining) }
                progressed = remaining < before
            }
        }

        /// One merchant's turn: its portion, or what was cut off it the last time.
        private mutating func serve(_ indices: ArraySlice<Int>, _ lane: Lane, _ remaining: inout Int) {
            guard let merchantID = indices.first.map({ grants[$0].merchantID }) else { return }
            var left = Turns.quantum
            if let turn = turn[lane], turn.merchantID == merchantID, turn.left > 0 { left = turn.left }
            let portion = left
            for index in indices {
                let room = min(due[index], receiverRoom(grants[index]), left, remaining)
                guard room > 0 else { continue }
                grants[index].count += room
                due[index] -= room
                grantedInAll += room
                holds.note(room, merchantID, grants[index].queue, turns)
                left -= room
                remaining -= room
            }
            if left < portion { turn[lane] = Turn(merchantID: merchantID, left: remaining == 0 ? left : 0) }
        }

        /// The merchants of a lane, beginning with the one whose turn it is.
        private func merchantsInTurn(_ lane: Lane) -> [ArraySlice<Int>] {
            let all = merchants[lane] ?? []
            guard let turn = turn[lane] else { return all }
            let next = all.firstIndex { indices in
                let merchantID = indices.first.map { grants[$0].merchantID } ?? 0
                return merchantID > turn.merchantID || (merchantID == turn.merchantID && turn.left > 0)
            }
            guard let next else { return all }
            return Array(all[next...] + all[..<next])
        }

        /// Beyond their share, later lanes leave some of the node's slots to earlier ones; and always some of each
        /// receiver's.
        func nodeRoom(_ lane: Lane) -> Int {
            max(0, turns.nodeSlots * lane.ceilingPercent / 100 - turns.heldInAll - grantedInAll)
        }

        private func receiverRoom(_ grant: Grant) -> Int {
            let candidate = Candidate(merchantID: grant.merchantID, queue: grant.queue)
            let room = holds.room(for: candidate, turns)
            guard turns.isBounded(grant.queue.receiverID) else { return max(0, room) }
            let isNew = holds.byReceiver[grant.queue.receiverID] == nil
            return max(0, min(room, holds.unprovenRoom(for: candidate, isNew: isNew, turns)))
        }
    }
}
