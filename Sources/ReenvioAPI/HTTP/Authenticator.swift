package import ReenvioEngine
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Turns `Authorization: Bearer <key or token>` into a caller (`docs/contract.md` 9). One kind of credential per
/// dialect: a token is none where a key is asked for, nor a key where a token is. Keys are looked up at most once a
/// second each; a token's user at each request, so that a deactivated one is refused at once.
package final class Authenticator: Sendable {
    private struct Entry {
        var key: APIKey?
        var readAt: Timestamp
    }

    private static let keptFor: Duration = .seconds(1)
    private static let keysMax = 10_000

    private let entries = Mutex<[[UInt8]: Entry]>([:])
    private let store: Store
    private let tokens: AccessTokens
    private let clock: any TimeSource

    package init(store: Store, tokens: AccessTokens, clock: any TimeSource) {
        self.store = store
        self.tokens = tokens
        self.clock = clock
    }

    /// - Throws: `RefusedCredential` for a missing, malformed, unknown, expired or revoked credential, all answered
    ///   alike; for a token that is there but not valid with `"code":"token_not_valid"`.
    package func caller(authorization: String?, access: Access) async throws -> Caller {
        let shown = authorization.flatMap(Self.bearer)
        if access == .token { return .user(try await user(token: shown)) }
        guard let shown, let text = APIKeyText(shown), let key = try await key(text) else {
            throw RefusedCredential(shown: shown ?? "")
        }
        guard key.isUsable(now: clock.expiry) else {
            throw RefusedCredential(.unauthorized, .dead, shown: shown, keyID: key.id)
        }
        return .key(key)
    }

    private func user(token: String?) async throws -> User {
        guard let token, !token.isEmpty else { throw RefusedCredential(shown: "") }
        switch try await tokens.verify(token) {
        case .valid(let id):
            if let user = try await store.user(id: id), user.isActive { return user }
            throw RefusedCredential(.tokenNotValid, .expired, shown: token)
        case .expired: throw RefusedCredential(.tokenNotValid, .expired, shown: token)
        case .invalid: throw RefusedCredential(.tokenNotValid, shown: token)
        }
    }

    /// The key with which a user signs its bodies; nil where it has none.
    package func hmacKey(userID: Int64) async throws -> [UInt8]? {
        try await store.hmacKey(userID: userID)
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
