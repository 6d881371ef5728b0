/// What a node learned of a receiver and every node must follow.
package struct ReceiverChange: Sendable, Equatable {
    package enum What: Sendable, Equatable {
        /// Its machine failed too often in a row, the last time for this reason at this URL: its breaker opens.
        case broke(AttemptFailure?, url: Int64?)
        /// It acknowledged something although its machine failed lately: its breaker does not open for a while.
        case proved
        /// A probe of its open breaker ended.
        case probed(AttemptOutcome.Signal, Breaker.Occasion, url: Int64?)
        /// It asked to be left alone until then (`Retry-After`). Engine time.
        case held(until: Timestamp)
        case slow(Bool)
    }

    package var receiverID: Int64
    package var what: What
    /// Engine time.
    package var at: Timestamp

    package init(receiverID: Int64, what: What, at: Timestamp) {
        self.receiverID = receiverID
        self.what = what
        self.at = at
    }

    package var isBreak: Bool { if case .broke = what { true } else { false } }
}

/// What one node knows of the receivers it sends to, from the ends of its own attempts. A value; receivers that nothing
/// is in flight to are forgotten when there are too many.
package struct ReceiverBook: Sendable {
    private struct Entry {
        var load: ReceiverLoad
        var health = MachineHealth()
        /// What was said last.
        var isSlow = false
        /// It has acknowledged something since it was met, or since it broke.
        var isProven = false
        /// While resends go to it, and when the last attempt of one ended.
        var ramp: ResendRamp?
        var resentAt: Timestamp?
    }

    private let ceiling: Int
    private let entriesMax: Int
    private var entries: [Int64: Entry] = [:]
    /// Receivers that have a ramp, and when it was last looked which of them rest.
    private var ramped: Set<Int64> = []
    private var lookedAt: Timestamp?

    package init(
        ceiling: Int = Limits.attemptsInFlightPerReceiver, entriesMax: Int = Limits.receiversKept
    ) {
        self.ceiling = ceiling
        self.entriesMax = entriesMax
    }

    package var count: Int { entries.count }

    /// Attempts at once that the receiver may have.
    package func slots(of receiverID: Int64) -> Int {
        entries[receiverID]?.load.slots ?? min(ReceiverLoad.slotsAtFirst, ceiling)
    }

    /// Whether the receiver has acknowledged anything lately.
    package func isProven(_ receiverID: Int64) -> Bool {
        entries[receiverID]?.isProven ?? false
    }

    /// Takes in the end of an attempt, and returns what all nodes must be told.
    /// - Parameters:
    ///   - url: the fingerprint of the URL it went to.
    ///   - probe: why it went through an open breaker; nil where it did not.
    ///   - hold: how long the receiver asked to be left alone.
    ///   - now: engine time.
    package mutating func note(
        _ outcome: AttemptOutcome, of receiverID: Int64, url: Int64? = nil, probe: Breaker.Occasion? = nil,
        hold: Duration?, at now: Timestamp
    ) -> [ReceiverChange] {
        var entry = entries[receiverID] ?? Entry(load: ReceiverLoad(ceiling: ceiling))
        entry.load.note(outcome, isProven: entry.health.isProven(at: now))
        if outcome == .acknowledged { entry.isProven = true }
        var changes: [ReceiverChange] = []
        func say(_ what: ReceiverChange.What) {
            changes.append(ReceiverChange(receiverID: receiverID, what: what, at: now))
        }
        let verdict = entry.health.note(outcome.signal, at: now)
        if let probe {
            say(.probed(outcome.signal, probe, url: url))
        } else {
            switch verdict {
            case .nothing: break
            case .proven: say(.proved)
            case .broken:
                // Counting begins anew, so that what was in flight does not open the breaker again after it has closed.
                entry.load = ReceiverLoad(ceiling: ceiling, slots: 1)
                entry.health = MachineHealth()
                entry.isProven = false
                entry.ramp = nil
                say(.broke(outcome.reason, url: url))
            }
        }
        if let hold, hold > .zero { say(.held(until: now + hold)) }
        let isSlow = entry.load.isSlow(before: entry.isSlow)
        if isSlow != entry.isSlow {
            entry.isSlow = isSlow
            say(.slow(isSlow))
        }
        entries[receiverID] = entry
        return changes
    }

    /// Takes in the end of a resend's attempt, which took so long.
    package mutating func noteResend(
        _ outcome: AttemptOutcome, of receiverID: Int64, took duration: Duration, at now: Timestamp
    ) {
        var entry = entries[receiverID] ?? Entry(load: ReceiverLoad(ceiling: ceiling))
        var ramp = entry.ramp ?? ResendRamp(ceiling: ceiling)
        ramp.note(outcome, took: duration)
        entry.ramp = ramp
        entry.resentAt = now
        ramped.insert(receiverID)
        entries[receiverID] = entry
    }

    /// Attempts of resends at once that the receiver may have; nil for as many as the first time.
    package func resendSlots(of receiverID: Int64) -> Int? {
        entries[receiverID]?.ramp?.slots
    }

    /// Forgets the ramps of receivers to which nothing was resent for a while; looked at once a second.
    /// - Returns: those receivers.
    package mutating func restRamps(at now: Timestamp) -> [Int64] {
        if let lookedAt, now >= lookedAt, now - lookedAt < .seconds(1) { return [] }
        lookedAt = now
        let rested = ramped.filter { id in
            entries[id]?.resentAt.map { now - $0 > ResendRamp.rests } ?? true
        }
        for id in rested { entries[id]?.ramp = nil }
        ramped.subtract(rested)
        return Array(rested)
    }

    /// Its origin has no room for more attempts, over all merchants: it makes do with fewer.
    package mutating func crowd(_ receiverID: Int64) {
        var entry = entries[receiverID] ?? Entry(load: ReceiverLoad(ceiling: ceiling))
        entry.load.yield()
        entries[receiverID] = entry
    }

    /// Forgets receivers to which nothing is in flight, when there are too many.
    /// - Returns: those forgotten.
    package mutating func evict(keeping isBusy: (Int64) -> Bool) -> [Int64] {
        guard entries.count > entriesMax else { return [] }
        let idle = entries.keys.filter { !isBusy($0) }
        for id in idle { entries[id] = nil }
        return idle
    }
}
