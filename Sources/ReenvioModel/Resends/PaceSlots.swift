/// The pace of a resend as numbered places in time (`docs/contract.md` 13.6). Each attempt takes the next free slot,
/// and slots are as far apart as the pace says; where the next one is stands in the resend's row, so that all nodes
/// share one sequence. A value; times are engine times.
package struct PaceSlots: Equatable, Sendable {
    /// Slots of one tick come due together: a claim per attempt would cost a commit each.
    private static let tick: Duration = .milliseconds(50)
    /// How far ahead chunks take slots. A retry goes behind those, so it waits no longer than this.
    private static let horizon: Duration = .seconds(5)
    /// A slot that was not used within this time is lost; its delivery takes another. What waited behind a pause
    /// therefore does not burst out when the pause ends.
    private static let lateness: Duration = .milliseconds(350)

    /// How soon a delivery is looked at again that could take no slot.
    package static let turnsAfter: Duration = .milliseconds(100)

    /// Attempts a second, 1 to `Limits.paceMax`.
    private let perSecond: Int64
    /// The first free slot.
    package private(set) var next: Timestamp

    /// - Parameter next: as it stands in the row; nil where no slot was ever taken.
    package init(perSecond: Int64, next: Timestamp?) {
        self.perSecond = max(1, perSecond)
        self.next = next ?? Timestamp(microseconds: .min)
    }

    /// Takes the next `count` slots, none before `start`, and returns when each comes due.
    package mutating func take(_ count: Int, from start: Timestamp) -> [Timestamp] {
        let first = max(next, start)
        next = first + .microseconds(Int64(count) * 1_000_000 / perSecond)
        return (0..<Int64(count)).map { index in
            max(start, Self.startOfTick(first + .microseconds(index * 1_000_000 / perSecond)))
        }
    }

    /// How many items the next chunk may take; 0 while it is better to wait for room for more.
    package func chunkRoom(now: Timestamp) -> Int {
        let free = (now + Self.horizon - max(next, now)).microseconds
        guard free > 0 else { return 0 }
        let room = min(Int64(Limits.resendChunk), free * perSecond / 1_000_000)
        return room >= min(Int64(Limits.resendChunk), max(1, perSecond / 2)) ? Int(room) : 0
    }

    /// Whether a slot that came due may still be used.
    package static func isFresh(due: Timestamp, now: Timestamp) -> Bool {
        now - due <= lateness
    }

    /// Slots that came due before this are lost.
    package static func oldestFresh(now: Timestamp) -> Timestamp {
        now - lateness
    }

    private static func startOfTick(_ time: Timestamp) -> Timestamp {
        Timestamp(microseconds: time.microseconds - time.microseconds % tick.microseconds)
    }
}
