import ReenvioModel
import Testing

@Suite struct WebhookIDTests {
    /// `msg_` and 20 to 40 letters or digits (`docs/contract.md` 3.2).
    private func expectFormat(_ text: String, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(text.hasPrefix("msg_"), sourceLocation: sourceLocation)
        let body = text.utf8.dropFirst(4)
        #expect((20...40).contains(body.count), sourceLocation: sourceLocation)
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8
        #expect(body.allSatisfy { alphabet.contains($0) }, sourceLocation: sourceLocation)
    }

    @Test(arguments: [0, 1, -1, 31, 32, 2_322_977, .min, .max] as [Int64], [0, 1, 31, 1 << 63, .max] as [UInt64])
    func comesBack(id: Int64, nonce: UInt64) {
        let webhookID = WebhookID(id: id, nonce: nonce)
        expectFormat(webhookID.description)
        #expect(WebhookID(webhookID.description) == webhookID)
    }

    @Test(arguments: 0..<200 as Range<UInt64>)
    func comesBackAtRandom(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let webhookID = WebhookID(id: Int64(bitPattern: random.next()), nonce: random.next())
        expectFormat(webhookID.description)
        #expect(WebhookID(webhookID.description) == webhookID)
    }

    @Test func spellsEachIDInOneWay() {
        #expect(WebhookID(id: 0, nonce: 0).description == "msg_00000000000000000000000000")
        #expect(WebhookID(id: 33, nonce: .max).description == "msg_0000000000011FZZZZZZZZZZZZ")
    }

    @Test(arguments: [
        "", "msg_", "msg_0001", "msg_0000000000000000000000000", "msg_000000000000000000000000000",
        "MSG_00000000000000000000000000", "00000000000000000000000000", "msg-00000000000000000000000000",
        "msg_0000000000000000000000000a", "msg_0000000000000000000000000U", "msg_0000000000000000000000000é",
        " msg_00000000000000000000000000", "msg_00000000000000000000000000 ",
        // More than 64 bits in either half.
        "msg_G0000000000000000000000000", "msg_0000000000000G000000000000",
    ])
    func readsNothingElse(text: String) {
        #expect(WebhookID(text) == nil)
    }
}
