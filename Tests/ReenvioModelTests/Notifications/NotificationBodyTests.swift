import ReenvioModel
import Testing

@Suite struct NotificationBodyTests {
    private func body(
        id: Int64 = 2_322_977, invoice: String = "575e8327-f145-48ff-b207-737eef2d6f3f", endToEnd: String? = nil,
        status: PayoutStatus = .paid, updatedAt: Timestamp = Timestamp(seconds: 1_774_339_530),
        statusDetail: StatusChangeRequest.Detail? = nil
    ) -> String {
        let bytes = NotificationBody.payout(
            id: id, invoice: invoice, endToEnd: endToEnd, status: status, updatedAt: updatedAt,
            statusDetail: statusDetail)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The body of the vector in `docs/contract.md` 3.2.
    @Test func hasTheBytesOfTheVector() {
        #expect(
            body()
                == #"{"id":2322977,"invoice":"575e8327-f145-48ff-b207-737eef2d6f3f","end_to_end":null,"#
                + #""status":{"id":3,"name":"Paid"},"updated_at":"2026-03-24 08:05:30"}"#)
    }

    /// The example of `docs/contract.md` 3.1.
    @Test func hasTheBytesOfTheExample() {
        let text = body(
            endToEnd: "E18236120202403240805s0123456789", status: .canceled,
            updatedAt: Timestamp(microseconds: 1_727_279_718_999_999),
            statusDetail: .init(code: "WE0001", detail: "The payment was made to an unregistered account"))
        #expect(
            text
                == #"{"id":2322977,"invoice":"575e8327-f145-48ff-b207-737eef2d6f3f","#
                + #""end_to_end":"E18236120202403240805s0123456789","status":{"id":6,"name":"Canceled"},"#
                + #""updated_at":"2024-09-25 15:55:18","#
                + #""status_detail":{"code":"WE0001","detail":"The payment was made to an unregistered account"}}"#)
    }

    /// Only what RFC 8259 demands is escaped.
    @Test func escapesNoMoreThanItMust() {
        let text = body(id: 1, invoice: "a/b\"c\\d\n\u{1}é😀<>&'\u{7F}\u{2028}", status: .inReview)
        #expect(
            text
                == #"{"id":1,"invoice":"a/b\"c\\d\n\u0001é😀<>&'"# + "\u{7F}\u{2028}"
                + #"","end_to_end":null,"status":{"id":5,"name":"In Review"},"updated_at":"2026-03-24 08:05:30"}"#)
    }

    @Test(arguments: PayoutStatus.notifiable)
    func namesEachStatus(status: PayoutStatus) {
        #expect(body(status: status).contains(#""status":{"id":\#(status.id),"name":"\#(status.name)"},"#))
    }
}
