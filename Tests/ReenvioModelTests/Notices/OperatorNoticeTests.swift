import ReenvioModel
import Testing

@Suite struct OperatorNoticeTests {
    private static let at = Timestamp(seconds: 1_774_339_200)

    @Test func saysWhatHappened() {
        let broken = OperatorNotice(.receiverBroken(receiverID: 7, merchantID: 303, reason: .httpStatus), at: Self.at)
        #expect(
            String(decoding: broken.body, as: UTF8.self) == """
                {"type":"receiver.broken","timestamp":"2026-03-24T08:00:00Z",\
                "data":{"receiver_id":7,"merchant_id":303,"reason":"http_status"}}
                """)
        #expect(!broken.isFrequent)
        let exhausted = OperatorNotice(
            .deliveryExhausted(
                webhookID: WebhookID(id: 1, nonce: 2), receiverID: 7, merchantID: 303, payoutID: nil, attempts: 8,
                reason: .timedOut), at: Self.at)
        #expect(exhausted.isFrequent)
        #expect(String(decoding: exhausted.body, as: UTF8.self).contains(#""payout_id":null,"attempts":8"#))
    }

    /// The row id of a restored store comes again, with something else to say.
    @Test func isNamedAfterItsRowAndWhatItSays() {
        let first = OperatorNotice.webhookID(id: 1, body: Array("a".utf8))
        #expect(first == OperatorNotice.webhookID(id: 1, body: Array("a".utf8)))
        #expect(first != OperatorNotice.webhookID(id: 1, body: Array("b".utf8)))
        #expect(first != OperatorNotice.webhookID(id: 2, body: Array("a".utf8)))
    }
}
