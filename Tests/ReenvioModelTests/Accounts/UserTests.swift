import ReenvioModel
import Testing

/// Users, what they sign in with, and how they sign (`docs/contract.md` 9).
struct UserTests {
    private static let body = #"{"url":"https://receiver.example/hook","type_webhook":"CASHOUT"}"#
    private static let key = Array("hmac-test-0001".utf8)
    private static let published =
        "cad56756e8ec81b458dc72b7afb90f976d183c3449882befcc0788c0e1c00cf4"
        + "b001967943b66088388d2e6f005b80a09d20abc93663e9a12ad92ef38fb3b88e"

    @Test("the contract's vector")
    func vector() {
        #expect(BodySignature.text(of: Self.body.utf8, key: Self.key) == Self.published)
        #expect(BodySignature.isValid(Self.published, of: Self.body.utf8, key: Self.key))
        #expect(BodySignature.isValid(Self.published.uppercased(), of: Self.body.utf8, key: Self.key))
    }

    @Test("one bit of signature, body or key is enough to be refused")
    func oneBitOff() {
        let code = Hex.bytes(Self.published) ?? []
        for bit in 0..<(8 * code.count) {
            var changed = code
            changed[bit / 8] ^= 1 << (bit % 8)
            #expect(!BodySignature.isValid(Hex.text(changed), of: Self.body.utf8, key: Self.key), "bit \(bit)")
        }
        #expect(!BodySignature.isValid(Self.published, of: (Self.body + " ").utf8, key: Self.key))
        #expect(!BodySignature.isValid(Self.published, of: Self.body.utf8, key: Self.key + [0x31]))
    }

    @Test(
        "what is no 128 hex digits is refused",
        arguments: ["", "0", published + "00", String(published.dropLast(2)), " " + published, "sha512=" + published])
    func malformed(_ text: String) {
        #expect(!BodySignature.isValid(text, of: Self.body.utf8, key: Self.key))
    }

    @Test("a user may use the merchants of its account: all of them, or those it was narrowed to")
    func policies() {
        let all = User(id: 1, accountID: 1, policies: .all)
        #expect(all.mayUse(merchantID: 303, accountID: 1))
        #expect(!all.mayUse(merchantID: 303, accountID: 2))
        let narrowed = User(id: 1, accountID: 1, policies: .only([303]))
        #expect(narrowed.mayUse(merchantID: 303, accountID: 1))
        #expect(!narrowed.mayUse(merchantID: 304, accountID: 1))
        #expect(!narrowed.mayUse(merchantID: 303, accountID: 2), "nor one that moved to another account")
    }

    @Test("credentials and keys are random, long enough, and of the documented form")
    func random() {
        var generator = SystemRandomNumberGenerator()
        let first = ClientCredentials(using: &generator)
        let second = ClientCredentials(using: &generator)
        #expect(first.clientID.utf8.count == 32)
        #expect(first.secret.utf8.count == 64)
        #expect(first.clientID != second.clientID)
        #expect(first.secret != second.secret)
        #expect(ClientCredentials.hash(first.secret) != ClientCredentials.hash(second.secret))
        let key = TokenKey(using: &generator)
        #expect(key.id.utf8.count == 16)
        #expect(key.secret.count == 32)
    }
}
