import ReenvioModel
import Testing

/// Ranges longer than a window, and several merchants (`docs/contract.md` 13.17).
@Suite struct ResendBatchTests {
    private static let hours: Int64 = 3 * 3_600
    private static let start: Int64 = 1_774_310_400

    // MARK: Windows

    /// Every second of the range is in exactly one window, and each window is one that the published API takes.
    @Test(
        arguments: [
            1, 59, 3_600, hours - 1, hours, hours + 1, 2 * hours - 1, 2 * hours, 2 * hours + 1, 86_400, 86_399,
            86_400 + 1, 31 * 86_400, 31 * 86_400 - 1,
        ] as [Int64])
    func splitsWithoutOverlapAndWithoutGap(length: Int64) {
        let windows = ResendWindow(startSeconds: Self.start, endSeconds: Self.start + length).split
        #expect(windows.first?.startSeconds == Self.start)
        #expect(windows.last?.endSeconds == Self.start + length)
        for (one, next) in zip(windows, windows.dropFirst()) { #expect(next.startSeconds == one.endSeconds + 1) }
        for window in windows {
            #expect(window.endSeconds > window.startSeconds)
            #expect(window.endSeconds - window.startSeconds <= Self.hours)
        }
    }

    @Test func oneWindowStaysAsItIs() {
        let window = ResendWindow(startSeconds: Self.start, endSeconds: Self.start + Self.hours)
        #expect(window.split == [window])
    }

    @Test func aDayIsEightWindows() {
        #expect(ResendWindow(startSeconds: Self.start, endSeconds: Self.start + 86_400).split.count == 8)
        #expect(ResendWindow(startSeconds: Self.start, endSeconds: Self.start + 31 * 86_400).split.count == 248)
    }

    // MARK: Body

    private func parse(_ members: String) throws -> ResendBatchRequest {
        try ResendBatchRequest.parse(try jsonObject("{\(members)}"))
    }

    private static let day = #""start_time":"2026-03-24 00:00:00","end_time":"2026-03-25 00:00:00""#

    private func faults(_ members: String) throws -> String {
        rendered(try #require(throws: Faults.self) { try parse(members) })
    }

    @Test func readsMerchantsOnceEachAndInOrder() throws {
        #expect(try parse(#""merchant_ids":[304,303,304],\#(Self.day)"#).merchants == .named([303, 304]))
        #expect(try parse(#""all_merchants":true,\#(Self.day)"#).merchants == .all)
        #expect(try parse(#""all_merchants":false,"merchant_ids":[1],\#(Self.day)"#).merchants == .named([1]))
    }

    @Test func passesOptionsThrough() throws {
        let request = try parse(
            #""merchant_ids":[1],\#(Self.day),"status_ids":[3],"only_unacknowledged":true,"#
                + #""max_per_second":9,"canary":7"#)
        let options = ResendOptions(onlyUnacknowledged: true, maxPerSecond: 9, canary: 7)
        #expect((request.statuses, request.options) == ([3], options))
        let job = request.request(1, request.range.split[0])
        #expect((job.statuses, job.options, job.merchantID) == ([3], options, 1))
    }

    @Test(arguments: [
        ("", #"{"merchant_ids":["The merchant_ids field is required."]}"#),
        (#""merchant_ids":[],"#, #"{"merchant_ids":["The merchant_ids field must be a non-empty array."]}"#),
        (#""merchant_ids":303,"#, #"{"merchant_ids":["The merchant_ids field must be a non-empty array."]}"#),
        (#""merchant_ids":[1,"2"],"#, #"{"merchant_ids.1":["The merchant_ids.1 field must be an integer."]}"#),
        (
            #""merchant_ids":[1],"all_merchants":true,"#,
            #"{"all_merchants":["The all_merchants field must not be given with merchant_ids."]}"#
        ),
    ])
    func namesWhatIsWrongWithMerchants(members: String, expected: String) throws {
        #expect(try faults(members + Self.day) == expected)
    }

    @Test func boundsRangeAndMerchants() throws {
        let long = #""start_time":"2026-03-01 00:00:00","end_time":"2026-04-01 00:00:01""#
        #expect(
            try faults(#""merchant_ids":[1],\#(long)"#)
                == #"{"end_time":["The time range must not exceed 31 days."]}"#)
        let ids = (1...1_001).map { String($0) }.joined(separator: ",")
        #expect(
            try faults(#""merchant_ids":[\#(ids)],\#(Self.day)"#)
                == #"{"merchant_ids":["One resend must not be for more than 1000 merchants."]}"#)
    }

    /// Equal requests are known as such, however they are written; others are not.
    @Test func hasOneFingerprintForOneRequest() throws {
        let one = try parse(#""merchant_ids":[303,304],\#(Self.day),"status_ids":[3,6]"#).fingerprint
        #expect(try parse(#""status_ids":[6,3,3],"merchant_ids":[304,303,303],\#(Self.day)"#).fingerprint == one)
        for other in [
            #""merchant_ids":[303],\#(Self.day),"status_ids":[3,6]"#,
            #""all_merchants":true,\#(Self.day),"status_ids":[3,6]"#,
            #""merchant_ids":[303,304],\#(Self.day)"#,
            #""merchant_ids":[303,304],\#(Self.day),"status_ids":[3,6],"only_unacknowledged":true"#,
            #""merchant_ids":[303,304],"start_time":"2026-03-24 00:00:01","#
                + #""end_time":"2026-03-25 00:00:00","status_ids":[3,6]"#,
        ] {
            #expect(try parse(other).fingerprint != one)
        }
    }
}
