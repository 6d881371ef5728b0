import Crypto

/// What an API key may do (`docs/contract.md` 9).
package enum Scope: String, Sendable, CaseIterable {
    case payoutsRead = "payouts:read"
    case payoutsWrite = "payouts:write"
    case resendDryRun = "resend:dry-run"
    case resendWrite = "resend:write"
    case receiversWrite = "receivers:write"
    case secretsWrite = "secrets:write"
    /// People's data unmasked.
    case peopleRead = "people:read"
    case auditRead = "audit:read"
    /// What the platform reports: status changes, cash-in, refunds.
    case payoutsReport = "payouts:report"
    case metricsRead = "metrics:read"
    /// How merchants are set up.
    case tenantsWrite = "tenants:write"

    /// Of use to operator keys only.
    package static let operatorOnly: [Scope] = [.payoutsReport, .metricsRead, .tenantsWrite]
    /// Of a key of an account that is made without scopes.
    package static let defaults = allCases.filter { $0 != .secretsWrite && !operatorOnly.contains($0) }
}

/// An API key as the store knows it. The key itself, `rnv_<id>_<secret>`, is shown once and kept only as a hash; the id
/// in it finds the row, the hash is compared in constant time.
package struct APIKey: Sendable, Equatable {
    package var id: String
    package var name: String
    /// Nil for an operator key, which acts on every account.
    package var accountID: Int64?
    package var scopes: [Scope]
    /// Whether an operator key was made without scopes: it has every one, those of later releases included.
    package var hasEveryScope: Bool
    /// The only merchants of its account that it may act for; nil for all, later ones included.
    package var merchants: Set<Int64>?
    package var cidrs: [CIDR]
    package var expiresAt: Timestamp?
    package var revokedAt: Timestamp?
    package var createdAt: Timestamp

    package init(
        id: String, name: String, accountID: Int64?, scopes: [Scope], hasEveryScope: Bool = false,
        merchants: Set<Int64>? = nil, cidrs: [CIDR], expiresAt: Timestamp?, revokedAt: Timestamp?,
        createdAt: Timestamp
    ) {
        self.id = id
        self.name = name
        self.accountID = accountID
        self.scopes = scopes
        self.hasEveryScope = hasEveryScope
        self.merchants = merchants
        self.cidrs = cidrs
        self.expiresAt = expiresAt
        self.revokedAt = revokedAt
        self.createdAt = createdAt
    }

    package var isOperator: Bool { accountID == nil }

    /// Whether it has that scope. The audit says nothing of merchants, so a key limited to some never reads it.
    package func may(_ scope: Scope) -> Bool {
        if scope == .auditRead, merchants != nil { return false }
        return hasEveryScope || scopes.contains(scope)
    }

    package func mayUse(merchantID: Int64) -> Bool { merchants?.contains(merchantID) ?? true }

    package func isUsable(now: Timestamp) -> Bool {
        guard revokedAt == nil else { return false }
        guard let expiresAt else { return true }
        return now < expiresAt
    }
}

/// The text of a key: its public id and its secret part.
package struct APIKeyText: Sendable {
    package let id: String
    package let text: String

    package init(using generator: inout some RandomNumberGenerator) {
        func random(_ count: Int) -> String {
            Hex.text((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
        id = random(6)
        text = "rnv_\(id)_\(random(32))"
    }

    /// Nil unless it has the form of a key.
    package init?(_ text: String) {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "rnv", parts[1].utf8.count == 12, parts[2].utf8.count == 64 else {
            return nil
        }
        id = String(parts[1])
        self.text = text
    }

    /// SHA-256 is enough for 256 random bits; there is nothing to guess.
    package var hash: [UInt8] { Array(SHA256.hash(data: Array(text.utf8))) }
}

/// Compares secrets in a time that does not depend on where they differ.
package enum ConstantTime {
    package static func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for (a, b) in zip(left, right) { difference |= a ^ b }
        return difference == 0
    }
}
