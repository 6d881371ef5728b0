package import ReenvioEngine
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Turns `Authorization: Bearer <key>` into a caller (`docs/contract.md` 9). Keys are looked up at most once a second
/// each.
package final class Authenticator: Sendable {
    private struct Entry {
        var key: APIKey?
        var readAt: Timestamp
    }

    private static let keptFor: Duration = .seconds(1)
    private static let keysMax = 10_000

    private let entries = Mutex<[[UInt8]: Entry]>([:])
    private let store: Store
    private let clock: any TimeSource

    package init(store: Store, clock: any TimeSource) {
        self.store = store
        self.clock = clock
    }

    /// - Throws: 401 for a missing, malformed, unknown, expired or revoked key, all alike.
    package func caller(authorization: String?) async throws -> Caller {
        guard let authorization, let text = Self.bearer(authorization), let shown = APIKeyText(text),
            let key = try await key(shown), key.isUsable(now: clock.wall)
        else { throw Problem.unauthorized }
        return Caller(key: key)
    }

    /// What follows the scheme, whose case does not matter, and at least one blank.
    private static func bearer(_ header: String) -> String? {
        let scheme = "bearer "
        let text = header.utf8
        guard text.count > scheme.utf8.count,
            zip(text, scheme.utf8).allSatisfy({ $0 == $1 || $0 | 0x20 == $1 })
        else { return nil }
        return String(text.dropFirst(scheme.utf8.count).drop { $0 == UInt8(ascii: " ") })
    }

    /// The cache is keyed by the key's hash: no key stands in memory longer than its request.
    private func key(_ shown: APIKeyText) async throws -> APIKey? {
        let hash = shown.hash
        let now = clock.engine
        let known = entries.withLock { entries -> Entry? in
            guard let entry = entries[hash], now - entry.readAt < Self.keptFor else { return nil }
            return entry
        }
        if let known { return known.key }
        let key = try await store.apiKey(shown)
        entries.withLock { entries in
            if entries.count >= Self.keysMax { entries.removeAll() }
            entries[hash] = Entry(key: key, readAt: now)
        }
        return key
    }
}
