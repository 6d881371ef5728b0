import Crypto
import Foundation
import ReenvioModel
import Testing

@Suite struct WebhookSignatureTests {
    /// The vectors of `docs/contract.md` 3.2.
    @Test(
        arguments: [
            (10_000, "f967a14a4cb130071f62290f65317d4b0be154534a515d4f17c8dade5ce7d32b"),
            (4_334, "3caf3d3335f4a02b916602ab0ee891bfd0273a7bacbbe3f611735471b7a94954"),
            (10, "1580b85e335e18dae3ef64bfe745aeb1aaf84f98c4b702d3ac5de52d6329cf8b"),
        ] as [(Int64, String)])
    func compat(minor: Int64, hex: String) {
        let header = WebhookSignature.compat(
            invoice: "575e8327-f145-48ff-b207-737eef2d6f3f", amount: Money(minor: minor, currency: "BRL"),
            compatKey: "k-test-0001")
        #expect(header == "Bearer " + hex)
    }

    static let body =
        #"{"id":2322977,"invoice":"575e8327-f145-48ff-b207-737eef2d6f3f","end_to_end":null,"#
        + #""status":{"id":3,"name":"Paid"},"updated_at":"2026-03-24 08:05:30"}"#

    private func sign(_ keys: SymmetricKey...) -> String {
        WebhookSignature.standard(
            webhookID: "msg_0001", timestamp: 1_774_339_532, body: Array(Self.body.utf8), keys: keys)
    }

    private let key = SymmetricKey(data: Array("test-signing-secret-0001".utf8))

    @Test func standard() {
        #expect(sign(key) == "v1,V8/13iwdOWzl+dOKuduaSOsud7aPuVyVT68OYyVvwjA=")
    }

    /// The public vector of the Standard Webhooks libraries.
    @Test func standardWebhooksVector() throws {
        let secret = try #require(SigningSecret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
        let signature = WebhookSignature.standard(
            webhookID: "msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp: 1_614_265_330,
            body: Array(#"{"test": 2432232314}"#.utf8), keys: [secret.key])
        #expect(signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
    }

    @Test func severalKeysGiveSeveralValues() {
        let other = SymmetricKey(data: Array("test-signing-secret-0002".utf8))
        #expect(sign(key, other) == sign(key) + " " + sign(other))
        #expect(sign(other, key) == sign(other) + " " + sign(key))
        #expect(sign(key) != sign(other))
    }

    /// Working out beforehand what depends on the keys changes nothing.
    @Test(arguments: [1, 2])
    func aSignerWritesTheSame(secretCount: Int) throws {
        let texts = ["whsec_dGVzdC1zaWduaW5nLXNlY3JldC0wMDAx", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
        let secrets = try texts.prefix(secretCount).map { try #require(SigningSecret($0)) }
        let signer = try #require(WebhookSigner(secrets: secrets, compatKey: "k-test-0001"))
        let amount = Money(minor: 4_334, currency: "BRL")
        for body in [[], Array(Self.body.utf8)] {
            let standard = WebhookSignature.standard(
                webhookID: "msg_0001", timestamp: 1_774_339_532, body: body, keys: secrets.map(\.key))
            #expect(signer.standard(webhookID: "msg_0001", timestamp: 1_774_339_532, body: body) == standard)
        }
        let compat = WebhookSignature.compat(invoice: "inv", amount: amount, compatKey: "k-test-0001")
        #expect(signer.compat(invoice: "inv", amount: amount) == compat)
    }

    @Test func noSecretNoSigner() {
        #expect(WebhookSigner(secrets: [], compatKey: "k-test-0001") == nil)
    }

    /// Id, time and body are each covered.
    @Test(arguments: [
        ("msg_0002", 1_774_339_532, "{}"), ("msg_0001", 1_774_339_533, "{}"), ("msg_0001", 1_774_339_532, "[]"),
    ])
    func coversEverything(id: String, timestamp: Int64, body: String) {
        func sign(_ id: String, _ timestamp: Int64, _ body: String) -> String {
            WebhookSignature.standard(webhookID: id, timestamp: timestamp, body: Array(body.utf8), keys: [key])
        }
        #expect(sign(id, timestamp, body) != sign("msg_0001", 1_774_339_532, "{}"))
    }
}

@Suite struct SigningSecretTests {
    private func base64(_ count: Int) -> String {
        Data((0..<count).map { UInt8(truncatingIfNeeded: $0 * 5 + 250) }).base64EncodedString()
    }

    @Test(arguments: [24, 25, 26, 31, 32, 33, 48, 63, 64])
    func takes24To64Bytes(count: Int) throws {
        for text in ["whsec_" + base64(count), base64(count)] {
            let secret = try #require(SigningSecret(text))
            #expect(secret.text == text)
            let bytes = secret.key.withUnsafeBytes { Data($0) }
            #expect(bytes.base64EncodedString() == base64(count))
        }
    }

    @Test(arguments: [0, 1, 23, 65, 66, 128])
    func refusesOtherLengths(count: Int) {
        #expect(SigningSecret("whsec_" + base64(count)) == nil)
        #expect(SigningSecret(base64(count)) == nil)
    }

    @Test(arguments: [
        "", "whsec_", "whsec_whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa-_",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "whsec_ MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "test-signing-secret-0001-and-more",
    ])
    func refusesOtherSpellings(text: String) {
        #expect(SigningSecret(text) == nil)
    }

    @Test func makesNewOnes() throws {
        var random = SplitMix64(seed: 1)
        let secret = SigningSecret(using: &random)
        #expect(secret.text.hasPrefix("whsec_"))
        #expect(Data(base64Encoded: String(secret.text.dropFirst(6)))?.count == 32)
        let again = try #require(SigningSecret(secret.text))
        #expect(again == secret)
        #expect(again.key == secret.key)
        #expect(SigningSecret(using: &random).text != secret.text)
    }
}

@Suite struct HexTests {
    @Test func writesLowerCase() {
        #expect(Hex.text([]) == "")
        #expect(Hex.text([0x00, 0x01, 0x0A, 0x7F, 0x80, 0xAB, 0xFF]) == "00010a7f80abff")
    }

    @Test func comesBack() {
        let bytes = (0...255).map { UInt8($0) }
        #expect(Hex.bytes(Hex.text(bytes)) == bytes)
        #expect(Hex.bytes("") == [])
    }

    @Test(arguments: ["0", "abc", "AB", "0g", "0x", " 00", "00 ", "é", "/0", "0:", "`0", "٠٠"])
    func readsNothingElse(text: String) {
        #expect(Hex.bytes(text) == nil)
    }
}
