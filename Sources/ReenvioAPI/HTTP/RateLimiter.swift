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

/// Counts failed authentications by address (`docs/contract.md` 4.4): after the 21st within 60 s, every request from
/// that address that would need a credential is refused, whatever it carries. Not switched off by the rate limits.
package final class FailedLogins: Sendable {
    private static let allowed = 20
    private static let within: Duration = .seconds(60)
    private static let addressesMax = 10_000

    private let failures = Mutex<[IPAddress?: [Timestamp]]>([:])

    package init() {}

    /// - Throws: 429 with `Retry-After` while the address is refused.
    package func check(_ address: IPAddress?, now: Timestamp) throws {
        let wait = failures.withLock { failures -> Int64? in
            guard let times = failures[address] else { return nil }
            let recent = times.filter { now - $0 < Self.within }
            failures[address] = recent.isEmpty ? nil : recent
            // Refused until the failure before the last twenty is older than a minute.
            guard recent.count > Self.allowed, let oldest = recent.suffix(Self.allowed + 1).first else { return nil }
            return max(1, (Self.within - (now - oldest)).microseconds / 1_000_000 + 1)
        }
        if let wait { throw Problem.tooManyRequests(retryAfterSeconds: wait) }
    }

    package func note(_ address: IPAddress?, now: Timestamp) {
        failures.withLock { failures in
            if failures.count >= Self.addressesMax {
                failures = failures.filter { now - ($0.value.last ?? now) < Self.within }
            }
            // A flood of addresses must not grow memory: then only those already known are counted.
            if failures.count >= Self.addressesMax, failures[address] == nil { return }
            failures[address, default: []].append(now)
            if failures[address, default: []].count > Self.allowed + 1 { failures[address]?.removeFirst() }
        }
    }
}
