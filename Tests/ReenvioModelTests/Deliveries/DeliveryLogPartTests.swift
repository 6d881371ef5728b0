import ReenvioModel
import Testing

/// The log of a payout in parts, as its page shows it.
struct DeliveryLogPartTests {
    private static let at = Timestamp(seconds: 1_774_339_200)

    private static func delivery(_ id: Int64, attempts: Int) -> LoggedDelivery {
        LoggedDelivery(
            id: id, url: "https://a.example/hook", isResend: false, jobID: nil, state: .exhausted, nextAttemptAt: nil,
            attempts: (0..<attempts).map { number in
                LoggedAttempt(
                    number: Int64(number + 1), at: at, milliseconds: 1, statusCode: 500, reason: "http_status",
                    answer: nil)
            })
    }

    private static func notification(_ id: Int64, _ deliveries: [LoggedDelivery]) -> LoggedNotification {
        LoggedNotification(
            id: id, webhookID: WebhookID(id: id, nonce: 0), status: .paid, sequence: id, createdAt: at,
            acknowledgedAt: nil, deliveries: deliveries)
    }

    /// Delivery 7 carried one notification after the other.
    private static let log = [
        notification(2, [delivery(9, attempts: 0), delivery(8, attempts: 3), delivery(7, attempts: 2)]),
        notification(1, [delivery(7, attempts: 2), delivery(3, attempts: 16)]),
    ]

    private static func ids(_ log: [LoggedNotification]) -> [[Int64]] {
        log.map { $0.deliveries.map(\.id) }
    }

    @Test func `the newest deliveries come first, whole, up to so many attempts`() {
        let first = Self.log.part(below: nil, attempts: 7)
        #expect(Self.ids(first.log) == [[9, 8], []])
        #expect(first.next == 8)
        let second = Self.log.part(below: first.next, attempts: 7)
        #expect(Self.ids(second.log) == [[7], [7]], "a delivery is in one part with all that it carried")
        let last = Self.log.part(below: second.next, attempts: 7)
        #expect(Self.ids(last.log) == [[], [3]], "one is shown, however many attempts it has")
        #expect(last.next == nil)
    }

    @Test func `what fits is one part`() {
        let whole = Self.log.part(below: nil, attempts: 24)
        #expect(whole.log == Self.log)
        #expect(whole.next == nil)
        #expect(Self.log.part(below: nil, attempts: 23).next == 7)
        #expect([LoggedNotification]().part(below: nil, attempts: 1).next == nil)
    }
}
