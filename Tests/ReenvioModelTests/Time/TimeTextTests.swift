import Foundation
import ReenvioModel
import Testing

@Suite struct TimeTextTests {
    /// The four formats of `docs/contract.md` 1.4.
    @Test(
        arguments: [
            (1_774_339_530_000_000, "2026-03-24", "08:05:30", "000000"),
            (1_774_339_530_999_999, "2026-03-24", "08:05:30", "999999"),
            (1_774_339_530_000_001, "2026-03-24", "08:05:30", "000001"),
            (1_763_737_199_000_000, "2025-11-21", "14:59:59", "000000"),
            (1_727_279_718_120_000, "2024-09-25", "15:55:18", "120000"),
            (0, "1970-01-01", "00:00:00", "000000"),
            (-1, "1969-12-31", "23:59:59", "999999"),
            (-1_000_000, "1969-12-31", "23:59:59", "000000"),
            (951_782_400_000_000, "2000-02-29", "00:00:00", "000000"),
            (951_868_799_000_000, "2000-02-29", "23:59:59", "000000"),
            (951_868_800_000_000, "2000-03-01", "00:00:00", "000000"),
            (4_107_542_400_000_000, "2100-03-01", "00:00:00", "000000"),
            (4_107_542_399_000_000, "2100-02-28", "23:59:59", "000000"),
            (-62_135_596_800_000_000, "0001-01-01", "00:00:00", "000000"),
            (253_402_300_799_999_999, "9999-12-31", "23:59:59", "999999"),
        ] as [(Int64, String, String, String)])
    func writesTheFourFormats(microseconds: Int64, day: String, time: String, fraction: String) {
        let moment = Timestamp(microseconds: microseconds)
        #expect(TimeText.plain(moment) == "\(day) \(time)")
        #expect(TimeText.offset(moment) == "\(day)T\(time)+00:00")
        #expect(TimeText.micro(moment) == "\(day)T\(time).\(fraction)Z")
        #expect(TimeText.zulu(moment) == "\(day)T\(time)Z")
    }

    /// Random moments of 1583 to 9999 (Foundation's calendar is Julian before), there and back.
    @Test(arguments: 0..<20 as Range<UInt64>)
    func agreesWithFoundation(seed: UInt64) {
        let formatter = DateFormatter()
        formatter.calendar = Calendar(identifier: .gregorian)
        formatter.locale = Locale(identifier: "en_US_POSIX")
        formatter.timeZone = TimeZone(secondsFromGMT: 0)
        formatter.dateFormat = "yyyy-MM-dd HH:mm:ss"
        var random = SplitMix64(seed: seed)
        for _ in 0..<50 {
            let seconds = Int64.random(in: -12_212_553_600...253_402_300_799, using: &random)
            let micros = Int64.random(in: 0...999_999, using: &random)
            let moment = Timestamp(microseconds: seconds * 1_000_000 + micros)
            let text = formatter.string(from: Date(timeIntervalSince1970: Double(seconds)))
            let withT = text.replacing(" ", with: "T")
            #expect(TimeText.plain(moment) == text)
            #expect(TimeText.offset(moment) == withT + "+00:00")
            #expect(TimeText.zulu(moment) == withT + "Z")
            let fraction = String(String(1_000_000 + micros).dropFirst())
            #expect(TimeText.micro(moment) == "\(withT).\(fraction)Z")

            #expect(TimeText.parsePlain(text) == Timestamp(seconds: seconds))
            #expect(TimeText.parseRFC3339(TimeText.offset(moment)) == Timestamp(seconds: seconds))
            #expect(TimeText.parseRFC3339(TimeText.zulu(moment)) == Timestamp(seconds: seconds))
            #expect(TimeText.parseRFC3339(TimeText.micro(moment)) == moment)
        }
    }

    // MARK: YYYY-MM-DD HH:MM:SS

    @Test(
        arguments: [
            ("2026-03-24 08:05:30", 1_774_339_530), ("1970-01-01 00:00:00", 0), ("1969-12-31 23:59:59", -1),
            ("2024-02-29 00:00:00", 1_709_164_800), ("2000-02-29 00:00:00", 951_782_400),
            ("2026-12-31 23:59:59", 1_798_761_599), ("0001-01-01 00:00:00", -62_135_596_800),
            ("9999-12-31 23:59:59", 253_402_300_799),
        ] as [(String, Int64)])
    func readsPlain(text: String, seconds: Int64) {
        #expect(TimeText.parsePlain(text) == Timestamp(seconds: seconds))
    }

    static let unreal = [
        "2026-02-29", "2026-02-30", "1900-02-29", "2100-02-29", "2023-02-29", "2026-04-31", "2026-06-31", "2026-09-31",
        "2026-11-31", "2026-01-32", "2026-13-01", "2026-00-01", "2026-01-00", "0000-01-01",
    ]
    static let noTime = ["24:00:00", "23:59:60", "23:60:00", "25:00:00", "99:99:99", "08:05", "8:05:30", "08-05-30"]

    @Test(arguments: unreal)
    func readsNoUnrealDay(day: String) {
        #expect(TimeText.parsePlain("\(day) 08:05:30") == nil)
        #expect(TimeText.parseRFC3339("\(day)T08:05:30Z") == nil)
    }

    @Test(arguments: noTime)
    func readsNoUnrealTime(time: String) {
        #expect(TimeText.parsePlain("2026-03-24 \(time)") == nil)
        #expect(TimeText.parseRFC3339("2026-03-24T\(time)Z") == nil)
    }

    @Test(arguments: [
        "", " ", "2026-03-24", "2026-03-24 ", "2026-03-24T08:05:30", "2026-03-24t08:05:30", "2026-03-24 08:05:30Z",
        "2026-03-24 08:05:30+00:00", "2026-03-24 08:05:30 ", " 2026-03-24 08:05:30", "2026-03-24  08:05:30",
        "2026-03-24\t08:05:30", "2026-03-24 08:05:30\n", "2026-03-24 08:05:30.0", "2026-03-24 08:05:3",
        "2026-3-24 08:05:30",
        "26-03-24 08:05:30", "02026-03-24 08:05:30", "2026/03/24 08:05:30", "+026-03-24 08:05:30",
        "-026-03-24 08:05:30",
        "2026-03-24 +8:05:30", "2026-03-24 08:05:-1", "２０２６-03-24 08:05:30", "2026-03-24 08:05:3٠",
        "2026-03-24\u{A0}08:05:30",
    ])
    func readsPlainInNoOtherSpelling(text: String) {
        #expect(TimeText.parsePlain(text) == nil)
    }

    // MARK: RFC 3339

    @Test(
        arguments: [
            ("2026-03-24T08:05:30Z", 1_774_339_530_000_000), ("2026-03-24t08:05:30z", 1_774_339_530_000_000),
            ("2026-03-24T08:05:30+00:00", 1_774_339_530_000_000), ("2026-03-24T08:05:30-00:00", 1_774_339_530_000_000),
            ("2026-03-24T05:05:30-03:00", 1_774_339_530_000_000), ("2026-03-24T13:35:30+05:30", 1_774_339_530_000_000),
            ("2026-03-25T08:04:30+23:59", 1_774_339_530_000_000), ("2026-03-23T08:06:30-23:59", 1_774_339_530_000_000),
            ("2024-02-29T23:30:00-01:00", 1_709_253_000_000_000), ("2024-03-01T00:30:00Z", 1_709_253_000_000_000),
            ("2026-03-24T08:05:30.5Z", 1_774_339_530_500_000), ("2026-03-24T08:05:30.25-00:00", 1_774_339_530_250_000),
            ("2026-03-24T08:05:30.000001Z", 1_774_339_530_000_001),
            ("2026-03-24T08:05:30.1234567Z", 1_774_339_530_123_456),
            ("2026-03-24T08:05:30.9999999999999999999999999Z", 1_774_339_530_999_999),
            ("2026-03-24T05:05:30.123456-03:00", 1_774_339_530_123_456),
            ("1969-12-31T23:59:59.5Z", -500_000), ("1970-01-01T00:00:00.000000Z", 0),
            ("2000-02-29T00:00:00Z", 951_782_400_000_000),
        ] as [(String, Int64)])
    func readsRFC3339(text: String, microseconds: Int64) {
        #expect(TimeText.parseRFC3339(text) == Timestamp(microseconds: microseconds))
    }

    @Test(arguments: [
        "", "2026-03-24", "2026-03-24T08:05:30", "2026-03-24 08:05:30Z", "2026-03-24T08:05:30.Z",
        "2026-03-24T08:05:30,5Z",
        "2026-03-24T08:05Z", "2026-03-24T08:05:30 Z", "2026-03-24T08:05:30+0000", "2026-03-24T08:05:30+00",
        "2026-03-24T08:05:30+24:00", "2026-03-24T08:05:30+00:60", "2026-03-24T08:05:30+0:00", "2026-03-24T08:05:30ZZ",
        "2026-03-24T08:05:30Z ", " 2026-03-24T08:05:30Z", "2026-03-24T08:05:30UTC", "2026-03-24T08:05:30.5.5Z",
        "2026-03-24T08:05:30.-5Z", "2026-03-24_08:05:30Z", "20260324T080530Z", "1774339530", "2026-03-24T08:05:30.٥Z",
        "2026-03-24T08:05:30\u{2212}03:00", "12026-03-24T08:05:30Z",
    ])
    func readsRFC3339InNoOtherSpelling(text: String) {
        #expect(TimeText.parseRFC3339(text) == nil)
    }
}
