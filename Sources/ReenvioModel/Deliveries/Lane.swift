/// Which kind of work waits: live first deliveries, their retries, or resends (`docs/architecture.md`, rule 5).
package enum Lane: Int, Sendable, CaseIterable, Comparable {
    case live = 0
    case retry = 1
    case resend = 2

    /// How free slots are shared among the lanes, 8:3:1; an unused share flows down.
    package var share: Int {
        switch self {
        case .live: 8
        case .retry: 3
        case .resend: 1
        }
    }

    package static let allShares = allCases.reduce(0) { $0 + $1.share }

    /// The most of a receiver's slots that the lane may hold, in percent: later lanes always leave room for earlier
    /// ones.
    package var ceilingPercent: Int {
        switch self {
        case .live: 100
        case .retry: 88
        case .resend: 75
        }
    }

    package static func < (left: Lane, right: Lane) -> Bool {
        left.rawValue < right.rawValue
    }
}

/// One receiver's open deliveries in one lane. The id is derived, so that nobody has to look it up.
package struct QueueID: Hashable, Sendable {
    package var receiverID: Int64
    package var lane: Lane

    package init(receiverID: Int64, lane: Lane) {
        self.receiverID = receiverID
        self.lane = lane
    }

    package init?(raw: Int64) {
        guard let lane = Lane(rawValue: Int(raw & 3)) else { return nil }
        self.init(receiverID: raw >> 2, lane: lane)
    }

    package var raw: Int64 { receiverID << 2 | Int64(lane.rawValue) }
}
