import Crypto

/// A user of v3 (`docs/contract.md` 9): who signs in with a client id and secret, and acts on the account mirrors that
/// it has a policy for.
package struct User: Sendable, Equatable {
    /// The merchants of its account that it may act on.
    package enum Policies: Sendable, Equatable {
        /// Every merchant of the account, later ones included.
        case all
        case only(Set<Int64>)
    }

    package var id: Int64
    package var accountID: Int64
    package var policies: Policies
    package var deactivatedAt: Timestamp?

    package init(id: Int64, accountID: Int64, policies: Policies, deactivatedAt: Timestamp? = nil) {
        self.id = id
        self.accountID = accountID
        self.policies = policies
        self.deactivatedAt = deactivatedAt
    }

    package var isActive: Bool { deactivatedAt == nil }

    /// Whether it has a policy for that merchant of that account. A closed merchant is the caller's to judge.
    package func mayUse(merchantID: Int64, accountID: Int64) -> Bool {
        guard accountID == self.accountID else { return false }
        switch policies {
        case .all: return true
        case .only(let merchants): return merchants.contains(merchantID)
        }
    }

    /// How history and audit name it.
    package var actor: String { "user:\(id)" }
}

/// What a user signs in with: both are made, shown once, and the secret is kept only as a hash.
package struct ClientCredentials: Sendable {
    package let clientID: String
    package let secret: String

    package init(using generator: inout some RandomNumberGenerator) {
        func random(_ count: Int) -> String {
            Hex.text((0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
        }
        clientID = random(16)
        secret = random(32)
    }

    /// SHA-256 is enough for 256 random bits; there is nothing to guess.
    package static func hash(_ secret: String) -> [UInt8] { Array(SHA256.hash(data: Array(secret.utf8))) }
}

/// A key that access tokens are signed with (`docs/contract.md` 9). Its id is the `kid` of their headers.
package struct TokenKey: Sendable, Equatable {
    package static let secretBytes = 32

    package var id: String
    package var secret: [UInt8]

    package init(id: String, secret: [UInt8]) {
        self.id = id
        self.secret = secret
    }

    package init(using generator: inout some RandomNumberGenerator) {
        func random(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
        }
        self.init(id: Hex.text(random(8)), secret: random(Self.secretBytes))
    }
}
