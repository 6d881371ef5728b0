import Crypto
import ReenvioModel
import Testing

@Suite struct APIKeyTextTests {
    private static let sample =
        "rnv_0123456789ab_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

    @Test func makesNewOnes() throws {
        var random = SplitMix64(seed: 1)
        let key = APIKeyText(using: &random)
        let parts = key.text.split(separator: "_", omittingEmptySubsequences: false)
        #expect(parts.count == 3)
        #expect(parts[0] == "rnv")
        #expect(parts[1] == key.id)
        #expect(Hex.bytes(key.id)?.count == 6)
        #expect(Hex.bytes(String(parts[2]))?.count == 32)
        let other = APIKeyText(using: &random)
        #expect(other.text != key.text)
        #expect(other.id != key.id)
    }

    @Test func readsWhatItMakes() throws {
        var random = SplitMix64(seed: 2)
        let key = APIKeyText(using: &random)
        let read = try #require(APIKeyText(key.text))
        #expect(read.id == key.id)
        #expect(read.text == key.text)
        #expect(read.hash == key.hash)
    }

    @Test func isKeptAsAHashOfTheWholeText() throws {
        let key = try #require(APIKeyText(Self.sample))
        #expect(key.id == "0123456789ab")
        #expect(key.hash == Array(SHA256.hash(data: Array(Self.sample.utf8))))
        #expect(Hex.text(key.hash) == "d67b6b0df1bb9383fdbb8558f5e5f5fe611abd02a42af36c8b72c1d3d69af252")
    }

    @Test(arguments: [
        "", "rnv", "rnv__", "rnv_0123456789ab", sample + "_", sample + "0", "_" + sample, String(sample.dropLast()),
        "Bearer " + sample, "xyz" + sample.dropFirst(3), "RNV" + sample.dropFirst(3), sample.replacing("_", with: "-"),
        "rnv_0123456789a_" + sample.suffix(64), "rnv_0123456789abc_" + sample.suffix(64),
    ])
    func readsNothingElse(text: String) {
        #expect(APIKeyText(text) == nil)
    }
}

@Suite struct APIKeyTests {
    private static let now = Timestamp(seconds: 1_774_339_532)

    private func key(accountID: Int64? = 1, expires: Duration? = nil, revoked: Duration? = nil) -> APIKey {
        APIKey(
            id: "0123456789ab", name: "n", accountID: accountID, scopes: Scope.defaults, cidrs: [],
            expiresAt: expires.map { Self.now + $0 }, revokedAt: revoked.map { Self.now + $0 }, createdAt: Self.now)
    }

    @Test func isUsableUntilItExpires() {
        #expect(key().isUsable(now: Self.now))
        #expect(key(expires: .microseconds(1)).isUsable(now: Self.now))
        #expect(!key(expires: .zero).isUsable(now: Self.now))
        #expect(!key(expires: .seconds(-1)).isUsable(now: Self.now))
    }

    @Test func isOfNoUseOnceRevoked() {
        #expect(!key(revoked: .zero).isUsable(now: Self.now))
        #expect(!key(expires: .seconds(60), revoked: .seconds(-60)).isUsable(now: Self.now))
    }

    @Test func isAnOperatorsWithoutAnAccount() {
        #expect(key(accountID: nil).isOperator)
        #expect(!key().isOperator)
    }

    /// `docs/contract.md` 9.
    @Test func scopesAreAClosedList() {
        let list = [
            "payouts:read", "payouts:write", "resend:dry-run", "resend:write", "receivers:write", "secrets:write",
            "people:read", "audit:read", "payouts:report", "metrics:read", "tenants:write",
        ]
        #expect(Scope.allCases.map(\.rawValue) == list)
        #expect(Scope.defaults.map(\.rawValue) == Array(list[0..<5] + list[6..<8]))
    }

    @Test func onlyAKeyMadeWithoutScopesHasEveryScope() {
        var operatorKey = key(accountID: nil)
        operatorKey.scopes = [.metricsRead]
        for scope in Scope.allCases { #expect(operatorKey.may(scope) == (scope == .metricsRead)) }
        operatorKey.hasEveryScope = true
        for scope in Scope.allCases { #expect(operatorKey.may(scope)) }
    }

    @Test func aKeyOfSomeMerchantsReadsNoAudit() {
        var limited = key()
        #expect(limited.may(.auditRead) && limited.mayUse(merchantID: 7))
        limited.merchants = [303]
        #expect(!limited.may(.auditRead) && limited.may(.payoutsRead))
        #expect(limited.mayUse(merchantID: 303) && !limited.mayUse(merchantID: 7))
    }
}

@Suite struct ConstantTimeTests {
    @Test(
        arguments: [
            ([], [], true), ([1, 2, 3], [1, 2, 3], true), ([1, 2, 3], [1, 2, 4], false),
            ([1, 2, 3], [0, 2, 3], false),
            ([1, 2, 3], [1, 2], false), ([1, 2], [1, 2, 3], false), ([], [0], false), ([255], [127], false),
            ([1, 2], [2, 1], false), ([3, 3], [0, 0], false),
        ] as [([UInt8], [UInt8], Bool)])
    func compares(left: [UInt8], right: [UInt8], equal: Bool) {
        #expect(ConstantTime.equal(left, right) == equal)
    }
}
