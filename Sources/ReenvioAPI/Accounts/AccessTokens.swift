import Foundation
import JWTKit
package import ReenvioEngine
package import ReenvioModel
package import ReenvioStore
import Synchronization

/// Issues and verifies the access tokens of v3 (`docs/contract.md` 9). The keys are read at most once a second, and
/// once more for a `kid` that is not among them, so a rotation beside a running server, on another node too, is
/// followed at once.
package final class AccessTokens: Sendable {
    /// The claims of a token, under their names on the wire.
    private struct Claims: JWTPayload {
        static let type = "access"

        enum CodingKeys: String, CodingKey {
            case tokenType = "token_type"
            case expiry = "exp"
            case issuedAt = "iat"
            case id = "jti"
            case userID = "user_id"
        }

        var tokenType: String
        /// Seconds since 1970, as `issuedAt`.
        var expiry: Int64
        var issuedAt: Int64
        var id: String
        var userID: Int64

        /// Judged by `verify`, which is told the time.
        func verify(using algorithm: some JWTAlgorithm) async throws {}
    }

    /// The keys as they were read.
    private struct Keys {
        var newest: String?
        var ids: Set<String>
        var collection: JWTKeyCollection
        var readAt: Timestamp
    }

    private static let keptFor: Duration = .seconds(1)
    private static let leewaySeconds: Int64 = 30

    private let known = Mutex<Keys?>(nil)
    private let store: Store
    private let clock: any TimeSource
    private let entropy: any Entropy

    package init(store: Store, clock: any TimeSource, entropy: any Entropy) {
        self.store = store
        self.clock = clock
        self.entropy = entropy
    }

    /// A new token for a user, good for an hour. Makes the first key where there is none.
    package func issue(userID: Int64) async throws -> String {
        let now = clock.expiry
        let claims = Claims(
            tokenType: Claims.type, expiry: now.seconds + Limits.accessTokenSeconds, issuedAt: now.seconds,
            id: Hex.text(entropy.bytes(16)), userID: userID)
        var keys = try await keys()
        if keys.newest == nil {
            var generator = EntropyGenerator(entropy)
            try await store.ensureTokenKey(TokenKey(using: &generator), now: now)
            keys = try await read()
        }
        guard let newest = keys.newest else { throw Problem.unavailable }
        return try await keys.collection.sign(claims, kid: JWKIdentifier(string: newest))
    }

    package enum Verdict: Equatable, Sendable {
        /// The user that it names. Whether the user is active is the caller's to judge.
        case valid(Int64)
        /// Signed here, and too old.
        case expired
        /// Malformed, of another algorithm, type or key, or badly signed.
        case invalid
    }

    package func verify(_ token: String) async throws -> Verdict {
        guard token.utf8.count <= Limits.accessTokenBytes, let kid = Self.keyID(of: token) else { return .invalid }
        var keys = try await keys()
        if !keys.ids.contains(kid) { keys = try await read() }
        // The library falls back to its default key for an unknown kid, and does not compare `alg` with the key's.
        guard keys.ids.contains(kid), let claims = try? await keys.collection.verify(token, as: Claims.self),
            claims.tokenType == Claims.type
        else { return .invalid }
        return clock.expiry.seconds - Self.leewaySeconds < claims.expiry ? .valid(claims.userID) : .expired
    }

    /// The `kid` of a header that this server may have written: `alg` is exactly HS256, and nothing is critical. Each
    /// part must be the one way to write what it says, so that a token has no second spelling.
    private static func keyID(of token: String) -> String? {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false).map { decode(String($0)) }
        guard parts.count == 3, let bytes = parts[0], parts[1] != nil, parts[2] != nil,
            case .object(let header)? = try? JSONParser.parse(bytes), header["alg"] == .string("HS256"),
            header["crit"] == nil, case .string(let kid)? = header["kid"]
        else { return nil }
        return kid
    }

    /// Base64url without padding (RFC 7515), in its canonical form only.
    private static func decode(_ text: String) -> [UInt8]? {
        let plain = text.replacing("-", with: "+").replacing("_", with: "/")
        let padded = plain + String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4)
        guard !text.contains(where: "+/=".contains), let data = Data(base64Encoded: padded),
            data.base64EncodedString() == padded
        else { return nil }
        return Array(data)
    }

    private func keys() async throws -> Keys {
        let now = clock.engine
        if let fresh = known.withLock({ $0 }), now - fresh.readAt < Self.keptFor { return fresh }
        return try await read()
    }

    private func read() async throws -> Keys {
        let now = clock.engine
        let stored = try await store.tokenKeys()
        let collection = JWTKeyCollection()
        for key in stored {
            await collection.add(
                hmac: HMACKey(from: key.secret), digestAlgorithm: .sha256, kid: JWKIdentifier(string: key.id))
        }
        let keys = Keys(
            newest: stored.first?.id, ids: Set(stored.map(\.id)), collection: collection, readAt: now)
        known.withLock { $0 = keys }
        return keys
    }
}
