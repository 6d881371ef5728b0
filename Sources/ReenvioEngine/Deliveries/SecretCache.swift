package import ReenvioModel
package import ReenvioStore
import Synchronization

/// What webhooks of a merchant are signed with, opened once and kept a little while, so that the delivery path neither
/// reads nor decrypts per attempt. A rotation takes effect within `keptFor`.
package final class SecretCache: Sendable {
    private struct Entry {
        /// Nil for a merchant without a usable secret.
        var signer: WebhookSigner?
        var readAt: Timestamp
    }

    private static let keptFor: Duration = .seconds(1)
    private static let merchantsMax = 10_000

    private let entries = Mutex<[Int64: Entry]>([:])
    private let store: Store
    private let clock: any TimeSource

    package init(store: Store, clock: any TimeSource) {
        self.store = store
        self.clock = clock
    }

    /// The signers of all the merchants asked for, but for those that have no secret; one read for those not known.
    package func signers(for merchantIDs: Set<Int64>) async throws -> [Int64: WebhookSigner] {
        let now = clock.engine
        var known: [Int64: WebhookSigner?] = [:]
        entries.withLock { entries in
            for id in merchantIDs {
                if let entry = entries[id], now - entry.readAt < Self.keptFor { known[id] = .some(entry.signer) }
            }
        }
        let missing = merchantIDs.subtracting(known.keys)
        if !missing.isEmpty {
            let read = try await store.secrets(merchantIDs: missing.sorted(), now: clock.expiry)
            entries.withLock { entries in
                if entries.count + read.count > Self.merchantsMax { entries.removeAll() }
                for (id, secrets) in read {
                    let signer = WebhookSigner(secrets: secrets.signing, compatKey: secrets.compatKey)
                    entries[id] = Entry(signer: signer, readAt: now)
                    known[id] = .some(signer)
                }
            }
        }
        return known.compactMapValues { $0 }
    }
}
