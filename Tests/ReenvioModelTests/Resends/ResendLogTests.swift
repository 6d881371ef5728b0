import ReenvioModel
import Testing

/// The log object of `docs/contract.md` 7.2.
struct ResendLogTests {
    private static func text(_ log: ResendLog) -> String {
        var writer = JSONWriter()
        writer.object { log.write(into: &$0) }
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    @Test("a range that completed has all twelve keys in order, no object and no error")
    func range() {
        let log = ResendLog(
            id: 7_890, category: .cashOut, status: .completed, objectID: 66_300_134, mirrorID: 42,
            window: ResendWindow(startSeconds: 1_777_593_600, endSeconds: 1_778_543_999), userID: 246,
            createdAt: Timestamp(seconds: 1_778_573_730), updatedAt: Timestamp(microseconds: 1_778_573_745_900_000),
            processedAt: Timestamp(microseconds: 1_778_573_745_900_000))
        #expect(
            Self.text(log)
                == #"{"id":7890,"resend_type":"CASHOUT","status":"COMPLETED","object_reference_id":"66300134","#
                + #""account_mirror_id":42,"start_datetime":"2026-05-01T00:00:00Z","#
                + #""end_datetime":"2026-05-11T23:59:59Z","user_id":246,"created_at":"2026-05-12T08:15:30Z","#
                + #""updated_at":"2026-05-12T08:15:45Z","processed_at":"2026-05-12T08:15:45Z","error_message":null}"#)
    }

    @Test("what does not apply is null, not absent")
    func nulls() {
        let created = Timestamp(seconds: 1_778_573_730)
        var log = ResendLog(
            id: 1, category: .cashIn, status: .pending, objectID: 5, mirrorID: nil, window: nil, userID: 246,
            createdAt: created, updatedAt: created)
        #expect(
            Self.text(log)
                == #"{"id":1,"resend_type":"CASHIN","status":"PENDING","object_reference_id":"5","#
                + #""account_mirror_id":null,"start_datetime":null,"end_datetime":null,"user_id":246,"#
                + #""created_at":"2026-05-12T08:15:30Z","updated_at":"2026-05-12T08:15:30Z","processed_at":null,"#
                + #""error_message":null}"#)
        log.objectID = nil
        log.status = .failed
        log.errorMessage = "QR code webhook could not be resent: HTTP 404"
        #expect(Self.text(log).contains(#""object_reference_id":null"#))
        #expect(Self.text(log).hasSuffix(#""error_message":"QR code webhook could not be resent: HTTP 404"}"#))
    }

    @Test("each category is kept as a kind of its own, and v2's kinds have none")
    func kinds() {
        for category in EventCategory.allCases { #expect(category.resendKind.category == category) }
        #expect(Resend.Kind.v2Payout.category == nil)
        #expect(Resend.Kind.v2One.category == nil)
    }
}
