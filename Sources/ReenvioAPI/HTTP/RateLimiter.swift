package import ReenvioModel
import Synchronization

/// Buckets by credential and kind, per node (`docs/contract.md` 10). Full buckets are forgotten, so memory follows the
/// credentials that are busy now.
package final class RateLimiter: Sendable {
    private struct Key: Hashable {
        var credential: String
        var kind: RateLimits.Kind
    }

    private static let bucketsMax = 10_000

    private let limits: RateLimits
    private let buckets = Mutex<[Key: TokenBucket]>([:])

    package init(_ limits: RateLimits) {
        self.limits = limits
    }

    /// - Throws: 429 with `Retry-After`.
    package func take(_ kind: RateLimits.Kind, for credential: String, now: Timestamp) throws {
        guard let perMinute = limits.perMinute[kind] else { return }
        let key = Key(credential: credential, kind: kind)
        let wait = buckets.withLock { buckets -> Int64? in
            if buckets.count >= Self.bucketsMax { buckets = buckets.filter { !$0.value.isFull(now: now) } }
            return buckets[key, default: TokenBucket(perMinute: perMinute, now: now)].take(now: now)
        }
        if let wait { throw Problem.tooManyRequests(retryAfterSeconds: wait) }
    }
}
