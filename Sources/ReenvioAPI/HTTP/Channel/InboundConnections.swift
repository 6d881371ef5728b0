package import Logging
package import Metrics
import NIOCore
import ReenvioEngine
import Synchronization

/// The connections of all listeners, no more than leave the store and the deliveries their descriptors. At the limit
/// those that have been idle for longest are closed; while none is idle, no connection is accepted.
package final class InboundConnections: Sendable {
    /// Why no connection is accepted for a moment.
    enum Shortage: String { case connections, descriptors }

    private struct State {
        var open: [ObjectIdentifier: (channel: any Channel, occupancy: Occupancy)] = [:]
        var pauses = 0
        var saidAt: ContinuousClock.Instant?
    }

    /// The time without a request after which a connection counts as idle.
    private static let idleFor: TimeAmount = .milliseconds(250)
    /// This part of the limit is closed at once, so that it is not met again with the next connection.
    private static let partClosed = 4
    private static let sayEvery: Duration = .seconds(60)

    private let limit: Int
    private let pauses: Counter?
    private let logger: Logger
    private let state = Mutex(State())

    /// - Parameter limit: most connections at once; `Int.max` for no limit, and then nothing is counted.
    package init(
        limit: Int = .max, pauses: Counter? = nil,
        logger: Logger = Logger(label: "reenvio") { _ in SwiftLogNoOpLogHandler() }
    ) {
        self.limit = limit
        self.pauses = pauses
        self.logger = logger
    }

    package var count: Int { state.withLock(\.open.count) }

    /// Counts a connection until it is closed.
    func register(_ channel: any Channel) -> Occupancy {
        let occupancy = Occupancy(since: .now())
        guard limit < .max else { return occupancy }
        let id = ObjectIdentifier(channel)
        state.withLock { $0.open[id] = (channel, occupancy) }
        channel.closeFuture.whenComplete { _ in
            self.state.withLock { $0.open[id] = nil }
        }
        return occupancy
    }

    /// Nil where the next connection may be accepted; otherwise what there is too little of. Makes room where it can.
    func shortage(now: NIODeadline = .now()) -> Shortage? {
        guard limit < .max else { return nil }
        let (isFull, tired) = state.withLock { state -> (Bool, [any Channel]) in
            guard state.open.count >= limit else { return (false, []) }
            let idle = state.open.values.compactMap { entry -> (since: NIODeadline, channel: any Channel)? in
                guard let since = entry.occupancy.idleSince, now - since >= Self.idleFor else { return nil }
                return (since, entry.channel)
            }
            let most = max(1, limit / Self.partClosed)
            return (true, idle.sorted { $0.since < $1.since }.prefix(most).map(\.channel))
        }
        for channel in tired { channel.close(promise: nil) }
        if isFull { return .connections }
        return LocalResources.areDescriptorsShort ? .descriptors : nil
    }

    /// Counts a pause and says so, in one line a minute.
    func note(_ shortage: Shortage, now: ContinuousClock.Instant = .now) {
        pauses?.increment()
        let count = state.withLock { state -> Int in
            state.pauses += 1
            guard state.saidAt.map({ now - $0 >= Self.sayEvery }) ?? true else { return 0 }
            defer { (state.pauses, state.saidAt) = (0, now) }
            return state.pauses
        }
        if count == 0 { return }
        logger.warning(
            "connections are accepted with pauses: this machine is short of something",
            metadata: ["count": "\(count)", "short_of": "\(shortage.rawValue)"])
    }
}

/// Whether a request is under way on a connection.
final class Occupancy: Sendable {
    /// Since when there is none; 0 while there is one.
    private let nanoseconds: Atomic<UInt64>

    init(since: NIODeadline) {
        nanoseconds = Atomic(since.uptimeNanoseconds)
    }

    var idleSince: NIODeadline? {
        let since = nanoseconds.load(ordering: .relaxed)
        return since == 0 ? nil : .uptimeNanoseconds(since)
    }

    func begin() { nanoseconds.store(0, ordering: .relaxed) }
    func end() { nanoseconds.store(NIODeadline.now().uptimeNanoseconds, ordering: .relaxed) }
}
