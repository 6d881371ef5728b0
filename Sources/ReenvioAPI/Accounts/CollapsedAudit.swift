package import ReenvioModel
import Synchronization

/// Entries of the audit that would repeat: the first of an actor, an action and an address within an hour is a row, and
/// says how many came after the row before it (`docs/contract.md` 9). Per node.
package final class CollapsedAudit: Sendable {
    private struct Kind: Hashable {
        var actor: String
        var action: String
        var address: String?
    }

    private struct Seen {
        var since: Timestamp
        var repeated: Int64 = 0
    }

    private static let within: Duration = .seconds(3_600)
    private static let kindsMax = 10_000

    private let seen = Mutex<[Kind: Seen]>([:])

    package init() {}

    /// Calls `write` where a row is due, with how many entries the row before it stands for beside its own, and
    /// `otherwise` where none is. What cannot be written stays due.
    package func note(
        _ action: String, by requester: Requester, now: Timestamp, write: (_ repeated: Int64) async throws -> Void,
        otherwise: () async throws -> Void = {}
    ) async throws {
        let kind = Kind(actor: requester.actor, action: action, address: requester.address)
        let last = seen.withLock { seen -> Seen? in
            let last = seen[kind]
            if let last, now - last.since < Self.within {
                seen[kind]?.repeated += 1
                return nil
            }
            if seen.count >= Self.kindsMax { seen = seen.filter { now - $0.value.since < Self.within } }
            if seen.count >= Self.kindsMax { seen.removeAll() }
            seen[kind] = Seen(since: now)
            return last ?? Seen(since: now)
        }
        guard let last else { return try await otherwise() }
        do {
            try await write(last.repeated)
        } catch {
            seen.withLock { $0[kind] = nil }
            throw error
        }
    }

    /// What such a row says of the entries that have none.
    package static func text(_ repeated: Int64) -> String {
        repeated == 0 ? "" : "\(repeated) more after the last such row"
    }
}
