import ReenvioModel
import Testing

@Suite struct RetryAfterTests {
    private static let now = Timestamp(seconds: 784_111_777)  // Sun, 06 Nov 1994 08:49:37 GMT

    @Test(
        arguments: [
            ("0", 0), ("1", 1), ("007", 7), ("120", 120), ("3600", 3_600), ("3601", 3_600), ("86400", 3_600),
            ("9223372036854775807", 3_600), ("9223372036854775808", 3_600), ("99999999999999999999999999999", 3_600),
        ] as [(String, Int64)])
    func readsSeconds(text: String, seconds: Int64) {
        #expect(RetryAfter.wait(text, now: Self.now) == .seconds(seconds))
    }

    @Test(
        arguments: [
            ("Sun, 06 Nov 1994 08:49:38 GMT", 1), ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:36 GMT", 0),
            ("Sat, 05 Nov 1994 08:49:37 GMT", 0), ("Sun, 06 Nov 1994 09:49:37 GMT", 3_600),
            ("Sun, 06 Nov 1994 09:49:38 GMT", 3_600), ("Mon, 07 Nov 1994 08:49:37 GMT", 3_600),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 3_600), ("Mon, 01 Jan 0001 00:00:00 GMT", 0),
        ] as [(String, Int64)])
    func readsDates(text: String, seconds: Int64) {
        #expect(RetryAfter.wait(text, now: Self.now) == .seconds(seconds))
    }

    /// The obsolete forms of RFC 9110, 5.6.7, which a recipient must understand.
    @Test(
        arguments: [
            ("Sunday, 06-Nov-94 08:49:38 GMT", 1), ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
            ("Sunday, 06-Nov-94 09:49:38 GMT", 3_600), ("Sun Nov  6 08:49:38 1994", 1), ("Sun Nov 06 08:49:38 1994", 1),
            ("Wed Nov 16 08:49:37 1994", 3_600), ("Sun Nov  6 08:49:36 1994", 0),
            // Two digits of a year: more than 50 years ahead is a century ago.
            ("Sunday, 06-Nov-43 08:49:38 GMT", 3_600), ("Sunday, 06-Nov-45 08:49:38 GMT", 0),
            ("Saturday, 01-Jan-00 00:00:00 GMT", 3_600), ("Sun, 06 Nov 1994 08:49:60 GMT", 23),
            ("  120\t", 120), (" Sun, 06 Nov 1994 08:49:38 GMT ", 1),
        ] as [(String, Int64)])
    func readsObsoleteDatesAndBlanks(text: String, seconds: Int64) {
        #expect(RetryAfter.wait(text, now: Self.now) == .seconds(seconds))
    }

    @Test(arguments: Array(zip(1...12, "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(separator: " "))))
    func readsEveryMonth(month: Int, name: Substring) throws {
        let noon = try #require(CivilTime(year: 2_026, month: month, day: 15, hour: 12, minute: 0, second: 0)).timestamp
        #expect(RetryAfter.wait("Sun, 15 \(name) 2026 12:00:05 GMT", now: noon) == .seconds(5))
    }

    /// What does not parse counts as absent.
    @Test(arguments: [
        nil, "", " ", "soon", "-1", "+60", "1.5", "1e3", "60s", "60, 120", "٦٠", "0x3c", "1994-11-06T08:50:00Z",
        "Sun, 06 Nov 1994 08:50:00", "Sun, 06 Nov 1994 08:50:00 UTC", "Sun, 06 Nov 1994 08:50:00 +0000",
        "06 Nov 1994 08:50:00 GMT", "Sun, 31 Nov 1994 08:50:00 GMT", "Sun, 06 Foo 1994 08:50:00 GMT",
        "Sun, 06 nov 1994 08:50:00 GMT", "Sun, 06 Nov 1994 24:50:00 GMT", "Sun, 06 Nov 1994 08:50 GMT",
        "Sun, 00 Nov 1994 08:50:00 GMT", "Sun, 06 Nov 10000 08:50:00 GMT", "Sun, xx Nov 1994 08:50:00 GMT",
        "Sun, 06 Nov 99999999999999999999 08:50:00 GMT", "Sunday, 06-Nov-1994 08:50:00 GMT",
        "Sunday, 06-Nov-94 08:50:00",
        "Sunday, 06-nov-94 08:50:00 GMT", "Sun Nov  6 08:50:00 94", "Sun Nov 6 1994 08:50:00", "Sun Nov  6 08:50:00",
        "Sunday, 6/Nov/94 08:50:00 GMT", "Sunday, -6-Nov-94 08:50:00 GMT",
    ])
    func ignoresTheRest(text: String?) {
        #expect(RetryAfter.wait(text, now: Self.now) == nil)
    }
}
