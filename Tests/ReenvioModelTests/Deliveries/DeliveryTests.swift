import ReenvioModel
import Testing

@Suite struct DeliveryTests {
    private static let now = Timestamp(seconds: 784_111_777)  // Sun, 06 Nov 1994 08:49:37 GMT

    /// Without jitter, unless `bits` says otherwise.
    private func after(_ outcome: AttemptOutcome, attempt: Int, bits: UInt64 = 1) -> Delivery.Next {
        var random = ConstantBits(bits: bits)
        return Delivery.after(outcome, attempt: attempt, schedule: .standard, now: Self.now, using: &random)
    }

    // MARK: Outcomes

    /// Exactly 200 acknowledges (`docs/contract.md` 3.3).
    @Test(
        arguments: [
            (200, nil), (201, .httpStatus), (202, .httpStatus), (204, .httpStatus), (206, .httpStatus),
            (301, .httpStatus),
            (302, .httpStatus), (308, .httpStatus), (400, .httpStatus), (401, .httpStatus), (404, .httpStatus),
            (409, .httpStatus), (410, .gone), (429, .httpStatus), (500, .httpStatus), (503, .httpStatus),
            (999, .httpStatus),
        ] as [(Int, AttemptFailure?)])
    func classifies(statusCode: Int, reason: AttemptFailure?) {
        let outcome = AttemptOutcome(statusCode: statusCode, retryAfter: nil)
        #expect((outcome == .acknowledged) == (statusCode == 200))
        #expect(outcome.statusCode == statusCode)
        #expect(outcome.reason == reason)
    }

    @Test(arguments: AttemptFailure.allCases)
    func keepsTheReasonOfAFailure(failure: AttemptFailure) {
        #expect(AttemptOutcome.failed(failure).reason == failure)
        #expect(AttemptOutcome.failed(failure).statusCode == nil)
    }

    // MARK: What follows

    @Test(arguments: 1...9)
    func endsAcknowledged(attempt: Int) {
        #expect(after(AttemptOutcome(statusCode: 200, retryAfter: "60"), attempt: attempt) == .end(.acknowledged))
    }

    /// 410 stops at once.
    @Test(arguments: 1...9)
    func endsStopped(attempt: Int) {
        #expect(after(AttemptOutcome(statusCode: 410, retryAfter: "60"), attempt: attempt) == .end(.stopped))
    }

    static let failures: [AttemptOutcome] =
        [201, 202, 204, 301, 302, 307, 400, 404, 408, 429, 500, 502, 503, 504].map {
            AttemptOutcome(statusCode: $0, retryAfter: nil)
        } + [AttemptFailure.timedOut, .addressForbidden, .connectionRefused, .nameNotResolved].map { .failed($0) }

    @Test(arguments: failures, 1...7)
    func retriesWhatFailed(outcome: AttemptOutcome, attempt: Int) {
        let wait = RetryScheduleTests.documented[attempt]
        #expect(after(outcome, attempt: attempt) == .retry(after: .seconds(wait)))
        #expect(after(outcome, attempt: attempt, bits: .max) == .retry(after: .milliseconds(wait * 1_100)))
    }

    @Test(arguments: failures, [8, 9])
    func endsExhausted(outcome: AttemptOutcome, attempt: Int) {
        #expect(after(outcome, attempt: attempt) == .end(.exhausted))
    }

    @Test(arguments: [429, 503])
    func exhaustsInSpiteOfRetryAfter(statusCode: Int) {
        #expect(after(AttemptOutcome(statusCode: statusCode, retryAfter: "60"), attempt: 8) == .end(.exhausted))
    }

    /// The next attempt waits `max(step, min(Retry-After, 1 h))`; the steps are 5 s, then 5 min.
    @Test(
        arguments: [
            (1, "0", 5), (1, "4", 5), (1, "5", 5), (1, "6", 6), (1, "60", 60), (1, "3600", 3_600), (1, "3601", 3_600),
            (1, "99999999999999999999999999", 3_600), (1, "Sun, 06 Nov 1994 08:50:37 GMT", 60),
            (1, "Sun, 06 Nov 1994 12:49:37 GMT", 3_600), (1, "Sun, 06 Nov 1994 08:49:37 GMT", 5),
            (1, "Sun, 06 Nov 1994 08:00:00 GMT", 5), (1, "soon", 5), (1, "", 5), (1, "-60", 5), (1, "60.5", 5),
            (1, nil, 5),
            (2, "60", 300), (2, "301", 301), (2, "Sun, 06 Nov 1994 08:50:37 GMT", 300), (7, "3600", 36_000),
            (7, "999999", 36_000),
        ] as [(Int, String?, Int64)], [429, 503])
    func waitsAsAsked(row: (attempt: Int, retryAfter: String?, seconds: Int64), statusCode: Int) {
        let outcome = AttemptOutcome(statusCode: statusCode, retryAfter: row.retryAfter)
        #expect(after(outcome, attempt: row.attempt) == .retry(after: .seconds(row.seconds)))
    }

    /// Only 429 and 503 may ask for more time.
    @Test(arguments: [201, 301, 400, 500, 502, 504])
    func waitsForNobodyElse(statusCode: Int) {
        #expect(
            after(AttemptOutcome(statusCode: statusCode, retryAfter: "60"), attempt: 1) == .retry(after: .seconds(5)))
    }

    /// The words of `docs/contract.md` 13.10.
    @Test func endsHaveTheWordsOfTheLog() {
        let ends: [DeliveryEnd] = [.acknowledged, .exhausted, .stopped, .skipped]
        #expect(ends.map(\.rawValue) == ["acknowledged", "exhausted", "stopped", "skipped"])
    }
}
