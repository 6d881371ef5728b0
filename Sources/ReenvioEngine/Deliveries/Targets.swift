import ReenvioModel
import Synchronization

/// How many attempts are under way to one origin, over all merchants: a host that many merchants share is not to be
/// drowned (`docs/contract.md` 3.4).
final class OriginGate: Sendable {
    private let limit: Int
    private let count = Atomic<Int>(0)

    init(limit: Int = Limits.attemptsInFlightPerOrigin) {
        self.limit = limit
    }

    var isIdle: Bool { count.load(ordering: .relaxed) == 0 }

    /// False, and nothing counted, where there is no room. Whoever enters leaves exactly once.
    func enter() -> Bool {
        let before = count.wrappingAdd(1, ordering: .relaxed).oldValue
        if before < limit { return true }
        count.subtract(1, ordering: .relaxed)
        return false
    }

    func leave() {
        count.subtract(1, ordering: .relaxed)
    }
}

/// Where deliveries go: URLs as they were judged, thousands of payouts share one text, and the gate of their origin.
final class Targets: Sendable {
    struct Target: Sendable {
        var url: ReceiverURL
        var origin: OriginGate
    }

    private struct State {
        var judged: [String: Target?] = [:]
        var origins: [String: OriginGate] = [:]
    }

    private static let textsMax = 1_024
    private static let originsMax = Limits.receiversKept

    private let policy: AddressPolicy
    private let state = Mutex(State())

    init(policy: AddressPolicy) {
        self.policy = policy
    }

    /// Nil where the policy forbids the URL.
    func find(_ text: String) -> Target? {
        if let known = state.withLock({ $0.judged[text] }) { return known }
        let url = try? ReceiverURL(parsing: text, policy: policy)
        return state.withLock { state in
            if state.judged.count >= Self.textsMax { state.judged.removeAll(keepingCapacity: true) }
            let target = url.map { Target(url: $0, origin: gate($0.origin, &state)) }
            state.judged[text] = .some(target)
            return target
        }
    }

    private func gate(_ origin: String, _ state: inout State) -> OriginGate {
        if let known = state.origins[origin] { return known }
        if state.origins.count >= Self.originsMax {
            state.origins = state.origins.filter { !$0.value.isIdle }
            // A gate that was let go of must not be found again beside its successor.
            state.judged.removeAll(keepingCapacity: true)
        }
        let gate = OriginGate()
        state.origins[origin] = gate
        return gate
    }
}
