import ReenvioModel
import Synchronization

/// Whether attempts to one receiver may begin now. The store parks its queues; this stops what was claimed before that:
/// what waits for a connection, and what is on its way from a claim.
final class StartGate: Sendable {
    /// Engine times in microseconds; 0 while it is open. Until then its queues are being parked, or the receiver asked
    /// to be left alone.
    private let parkedUntil = Atomic<Int64>(0)
    private let heldUntil = Atomic<Int64>(0)

    func park(until: Timestamp) {
        parkedUntil.store(until.microseconds, ordering: .relaxed)
    }

    func hold(until: Timestamp) {
        heldUntil.store(until.microseconds, ordering: .relaxed)
    }

    /// Its queues are not parked any more; what the receiver asked for holds.
    func unpark() {
        parkedUntil.store(0, ordering: .relaxed)
    }

    func open() {
        unpark()
        heldUntil.store(0, ordering: .relaxed)
    }

    /// `now` is asked for only where it matters.
    func isClosed(_ now: () -> Timestamp) -> Bool {
        let until = max(parkedUntil.load(ordering: .relaxed), heldUntil.load(ordering: .relaxed))
        return until != 0 && now().microseconds < until
    }
}

/// The gates of the receivers met lately.
final class StartGates: Sendable {
    private let gates = Mutex<[Int64: StartGate]>([:])

    func gate(of receiverID: Int64) -> StartGate {
        gates.withLock { gates in
            if let known = gates[receiverID] { return known }
            // A gate that is forgotten while it is closed lets a few attempts through, as a node does that starts.
            if gates.count >= Limits.receiversKept { gates.removeAll(keepingCapacity: true) }
            let gate = StartGate()
            gates[receiverID] = gate
            return gate
        }
    }
}
