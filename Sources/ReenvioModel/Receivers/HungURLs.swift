/// Which URLs keep this node's attempts waiting, so that deliveries to other URLs of the same receiver may overtake
/// those that wait behind them (`docs/contract.md` 3.4, `docs/decisions/0008-the-machine-and-the-message.md`). A URL
/// hangs while attempts to it are under way and none of them has ended quickly for a while. A value; URLs are known by
/// their fingerprints.
package struct HungURLs: Sendable {
    /// An attempt that takes as long is slow, and a URL hangs that has not ended one sooner.
    package static let patience: Duration = .milliseconds(500)
    /// Deliveries that may be under way ahead of others, of each receiver, beyond its slots, to URLs that do not hang.
    package static let aheadMax = 8
    /// The same to all URLs: some that were not known to hang do.
    package static let aheadInAllMax = 40
    /// A URL that was slow hangs again as soon as attempts to it are under way.
    private static let slowFor: Duration = .seconds(30)
    /// The maximum of slow URLs that are remembered for one receiver.
    private static let urlsMax = 512
    private static let lookEvery: Duration = .milliseconds(100)
    /// Deliveries that came in behind a place already looked at are met by the next look from the beginning.
    private static let wholeLookEvery: Duration = .seconds(2)

    /// A place in the order of a queue's due work.
    package struct Place: Sendable, Equatable {
        package var due: Timestamp
        package var id: Int64

        package init(due: Timestamp, id: Int64) {
            self.due = due
            self.id = id
        }
    }

    /// What a claim may take ahead of others from the live queue of a receiver.
    package struct Overtaking: Sendable, Equatable {
        package var candidate: Turns.Candidate
        /// Those whose deliveries stay where they are.
        package var hung: Set<Int64>
        package var room: Int
        /// Where to look from; nil: from the beginning.
        package var after: Place?
    }

    private struct URLState {
        var underWay = 0
        var quietSince: Timestamp
        var slowAt: Timestamp?

        var isForgettable: Bool { underWay == 0 && slowAt == nil }

        mutating func began(at now: Timestamp) {
            if underWay == 0 { quietSince = now }
            underWay += 1
        }

        mutating func ended(took duration: Duration?, at now: Timestamp) {
            underWay = max(0, underWay - 1)
            guard let duration else { return }
            if duration >= HungURLs.patience {
                slowAt = now
            } else {
                quietSince = now
                slowAt = nil
            }
        }

        func hangs(at now: Timestamp) -> Bool {
            guard underWay > 0 else { return false }
            return now - quietSince >= HungURLs.patience || isRemembered(at: now)
        }

        func isRemembered(at now: Timestamp) -> Bool {
            slowAt.map { now - $0 < HungURLs.slowFor } ?? false
        }
    }

    private struct Entry {
        let merchantID: Int64
        var urls: [Int64: URLState] = [:]
        /// Deliveries under way ahead of others, with their URLs.
        var ahead: [Int64: Int64] = [:]
        var place: Place?
        var beganLook: Timestamp?

        var isEmpty: Bool { urls.isEmpty && ahead.isEmpty }

        mutating func began(_ url: Int64, at now: Timestamp) {
            urls[url, default: URLState(quietSince: now)].began(at: now)
        }

        mutating func ended(_ url: Int64, delivery: Int64, took duration: Duration?, at now: Timestamp) {
            if !ahead.isEmpty { ahead[delivery] = nil }
            guard let index = urls.index(forKey: url) else { return }
            urls.values[index].ended(took: duration, at: now)
            let isOneTooMany = urls.count > HungURLs.urlsMax && urls.values[index].underWay == 0
            if isOneTooMany || urls.values[index].isForgettable { urls.remove(at: index) }
        }
    }

    private var entries: [Int64: Entry] = [:]
    private var lookedAt: Timestamp?
    private var hanging: [Int64] = []

    package init() {}

    /// An attempt is about to begin. Times are engine times.
    package mutating func began(_ url: Int64, of receiverID: Int64, merchantID: Int64, at now: Timestamp) {
        entries[receiverID, default: Entry(merchantID: merchantID)].began(url, at: now)
    }

    /// It ended.
    /// - Parameter duration: nil where nothing was sent.
    package mutating func ended(
        _ url: Int64, of receiverID: Int64, delivery: Int64, took duration: Duration?, at now: Timestamp
    ) {
        guard let index = entries.index(forKey: receiverID) else { return }
        entries.values[index].ended(url, delivery: delivery, took: duration, at: now)
        if entries.values[index].isEmpty { entries.remove(at: index) }
    }

    /// What was taken ahead of others, each with its URL, and how far was looked.
    package mutating func overtook(_ deliveries: [Int64: Int64], of receiverID: Int64, lookedTo place: Place?) {
        entries[receiverID]?.ahead.merge(deliveries) { $1 }
        if let place { entries[receiverID]?.place = place }
    }

    /// For the receivers with a URL that hangs and more live work than they have slots for. Looked at ten times a
    /// second.
    package mutating func overtaking(at now: Timestamp, _ isBacklogged: (Turns.Candidate) -> Bool) -> [Overtaking] {
        look(at: now)
        return hanging.compactMap { receiverID in
            guard let entry = entries[receiverID] else { return nil }
            let queue = QueueID(receiverID: receiverID, lane: .live)
            let candidate = Turns.Candidate(merchantID: entry.merchantID, queue: queue)
            let hung = Set(entry.urls.filter { $0.value.hangs(at: now) }.keys)
            let going = entry.ahead.values.count { !hung.contains($0) }
            let room = min(Self.aheadMax - going, Self.aheadInAllMax - entry.ahead.count)
            guard room > 0, !hung.isEmpty, isBacklogged(candidate) else { return nil }
            if entry.beganLook.map({ now - $0 >= Self.wholeLookEvery }) ?? true {
                entries[receiverID]?.beganLook = now
                entries[receiverID]?.place = nil
            }
            return Overtaking(candidate: candidate, hung: hung, room: room, after: entries[receiverID]?.place)
        }
    }

    private mutating func look(at now: Timestamp) {
        if let lookedAt, now >= lookedAt, now - lookedAt < Self.lookEvery { return }
        lookedAt = now
        hanging = []
        for (receiverID, entry) in entries {
            if entry.urls.contains(where: { $0.value.hangs(at: now) }) { hanging.append(receiverID) }
            for (url, state) in entry.urls where state.underWay == 0 && !state.isRemembered(at: now) {
                entries[receiverID]?.urls[url] = nil
            }
            if entries[receiverID]?.isEmpty == true { entries[receiverID] = nil }
        }
    }
}
