/// How a receiver fares, in the words of `docs/contract.md` 13.11.
package enum ReceiverHealth: String, Sendable, CaseIterable {
    case ok
    /// It gets fewer attempts at once than it could have, or asked to be left alone for a while.
    case slow
    /// Its breaker is open: only probes go to it.
    case broken
    /// Somebody paused it.
    case paused
}

/// A receiver as the outside sees it.
package struct Receiver: Sendable, Equatable {
    package var id: Int64
    package var merchantID: Int64
    /// Scheme, host and port.
    package var origin: String
    package var health: ReceiverHealth
    package var since: Timestamp
    /// Open deliveries.
    package var waiting: Int64

    package init(
        id: Int64, merchantID: Int64, origin: String, health: ReceiverHealth, since: Timestamp, waiting: Int64
    ) {
        self.id = id
        self.merchantID = merchantID
        self.origin = origin
        self.health = health
        self.since = since
        self.waiting = waiting
    }

    /// The row of `docs/contract.md` 13.11.
    package func writeMembers(into writer: inout JSONWriter) {
        writer.member("id", id)
        writer.member("merchant_id", merchantID)
        writer.member("receiver", origin)
        writer.member("health", health.rawValue)
        writer.member("since", TimeText.zulu(since))
        writer.member("waiting", waiting)
    }
}
