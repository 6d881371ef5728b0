package import ReenvioModel
package import ReenvioStore
import Synchronization

/// What webhooks of a merchant are signed with, opened once and kept a little while, so that the delivery path neither
/// reads nor decrypts per attempt. A rotation takes effect within `keptFor`.
package final class SecretCache: Sendable {
    private struct Entry {
        var secrets: MerchantSecrets
        var readAt: Timestamp
    }

    private static let keptFor: Duration = .seconds(5)
    private static let merchantsMax = 10_000

    private let entries = Mutex<[Int64: Entry]>([:])
    private let store: Store
    private let clock: any TimeSource

    package init(store: Store, clock: any TimeSource) {
        self.store = store
        self.clock = clock
    }

    /// The secrets of all the merchants asked for; one read for those not known.
    package func secrets(for merchantIDs: Set<Int64>) async throws -> [Int64: MerchantSecrets] {
        let now = clock.engine
        var known: [Int64: MerchantSecrets] = [:]
        entries.withLock { entries in
            for id in merchantIDs {
                if let entry = entries[id], now - entry.readAt < Self.keptFor { known[id] = entry.secrets }
            }
        }
        let missing = merchantIDs.subtracting(known.keys)
        if missing.isEmpty { return known }
        let read = try await store.secrets(merchantIDs: missing.sorted(), now: clock.wall)
        entries.withLock { entries in
            if entries.count + read.count > Self.merchantsMax { entries.removeAll() }
            for (id, secrets) in read { entries[id] = Entry(secrets: secrets, readAt: now) }
        }
        return known.merging(read) { _, new in new }
    }
}
