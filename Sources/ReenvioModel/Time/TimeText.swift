/// The four ways a moment is written, each with its place (`docs/contract.md` 1.4), and the two ways one is read.
package enum TimeText {
    /// `2026-03-24 08:05:30`: windows and the `updated_at` of the payout webhook.
    package static func plain(_ moment: Timestamp) -> String {
        render(moment, separator: UInt8(ascii: " "), fraction: false, zone: "")
    }

    /// `2026-03-24T08:05:30+00:00`: `started_at` and `updated_at` of a job.
    package static func offset(_ moment: Timestamp) -> String {
        render(moment, separator: UInt8(ascii: "T"), fraction: false, zone: "+00:00")
    }

    /// `2026-03-24T08:05:30.000000Z`: the dates of a payout object.
    package static func micro(_ moment: Timestamp) -> String {
        render(moment, separator: UInt8(ascii: "T"), fraction: true, zone: "Z")
    }

    /// `2026-03-24T08:05:30Z`: every date of v3 and of contract section 13.
    package static func zulu(_ moment: Timestamp) -> String {
        render(moment, separator: UInt8(ascii: "T"), fraction: false, zone: "Z")
    }

    /// Reads `YYYY-MM-DD HH:MM:SS`, exactly 19 characters, a real calendar time, taken as UTC (`docs/contract.md` 4.1).
    package static func parsePlain(_ text: String) -> Timestamp? {
        var scanner = DigitScanner(text)
        guard let date = scanner.date(), scanner.accept(" "), let time = scanner.time(), scanner.isAtEnd else {
            return nil
        }
        return moment(date, time)
    }

    /// Reads an RFC 3339 time: `T` and zone required (`Z` or an offset), fractions allowed and cut to microseconds.
    package static func parseRFC3339(_ text: String) -> Timestamp? {
        parseGiven(text)?.moment
    }

    /// The same with the precision at which it is written.
    package static func parseGiven(_ text: String) -> GivenTime? {
        guard let parts = RFC3339Parts(text), let local = moment(parts.date, parts.time) else { return nil }
        let moment = Timestamp(
            microseconds: local.microseconds + parts.fraction.microseconds - parts.zoneSeconds * 1_000_000)
        // An offset may carry a year out of the four digits that every format here has.
        guard (1...9_999).contains(CivilTime(moment).year) else { return nil }
        return GivenTime(moment, step: parts.fraction.step)
    }

    /// Whether it is an RFC 3339 time but for its second 60, which the clocks here do not have.
    package static func isLeapSecond(_ text: String) -> Bool {
        guard let parts = RFC3339Parts(text), parts.time.1 == 59, parts.time.2 == 60 else { return false }
        return moment(parts.date, (parts.time.0, 59, 59)) != nil
    }

    /// The fields of an RFC 3339 time, their ranges not judged.
    private struct RFC3339Parts {
        var date: (Int, Int, Int)
        var time: (Int, Int, Int)
        var fraction: (microseconds: Int64, step: Int64)
        var zoneSeconds: Int64

        init?(_ text: String) {
            var scanner = DigitScanner(text)
            guard let date = scanner.date(), scanner.accept("T") || scanner.accept("t"), let time = scanner.time(),
                let fraction = scanner.fraction(), let zone = scanner.zone(), scanner.isAtEnd
            else { return nil }
            (self.date, self.time, self.fraction, zoneSeconds) = (date, time, fraction, Int64(zone))
        }
    }

    private static func moment(_ date: (Int, Int, Int), _ time: (Int, Int, Int)) -> Timestamp? {
        CivilTime(year: date.0, month: date.1, day: date.2, hour: time.0, minute: time.1, second: time.2)?.timestamp
    }

    private static func render(_ moment: Timestamp, separator: UInt8, fraction: Bool, zone: StaticString) -> String {
        let civil = CivilTime(moment)
        return String(unsafeUninitializedCapacity: 32) { out in
            var end = 0
            func put(_ byte: UInt8) {
                out[end] = byte
                end += 1
            }
            func put(_ value: Int, digits: Int) {
                var rest = value
                for place in (end..<end + digits).reversed() {
                    out[place] = UInt8(ascii: "0") + UInt8(rest % 10)
                    rest /= 10
                }
                end += digits
            }
            put(civil.year, digits: 4)
            put(UInt8(ascii: "-"))
            put(civil.month, digits: 2)
            put(UInt8(ascii: "-"))
            put(civil.day, digits: 2)
            put(separator)
            put(civil.hour, digits: 2)
            put(UInt8(ascii: ":"))
            put(civil.minute, digits: 2)
            put(UInt8(ascii: ":"))
            put(civil.second, digits: 2)
            if fraction {
                put(UInt8(ascii: "."))
                put(civil.microsecond, digits: 6)
            }
            zone.withUTF8Buffer { for byte in $0 { put(byte) } }
            return end
        }
    }
}

/// Reads fixed-width decimal fields off a text, byte by byte.
private struct DigitScanner {
    private var rest: Substring.UTF8View

    init(_ text: String) {
        rest = text[...].utf8
    }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func accept(_ character: Unicode.Scalar) -> Bool {
        guard let first = rest.first, UInt32(first) == character.value else { return false }
        rest = rest.dropFirst()
        return true
    }

    mutating func date() -> (Int, Int, Int)? {
        guard let year = number(4), accept("-"), let month = number(2), accept("-"), let day = number(2) else {
            return nil
        }
        return (year, month, day)
    }

    mutating func time() -> (Int, Int, Int)? {
        guard let hour = number(2), accept(":"), let minute = number(2), accept(":"), let second = number(2) else {
            return nil
        }
        return (hour, minute, second)
    }

    /// Microseconds, and how many of them the last digit counts: 0 and a second where there is no point, nil where a
    /// point has no digit after it.
    mutating func fraction() -> (microseconds: Int64, step: Int64)? {
        guard accept(".") else { return (0, 1_000_000) }
        var step: Int64 = 1_000_000
        var value: Int64 = 0
        var isEmpty = true
        while let digit = number(1) {
            isEmpty = false
            guard step > 1 else { continue }
            step /= 10
            value += Int64(digit) * step
        }
        return isEmpty ? nil : (value, step)
    }

    /// Seconds east of UTC.
    mutating func zone() -> Int? {
        if accept("Z") || accept("z") { return 0 }
        let sign = accept("+") ? 1 : accept("-") ? -1 : 0
        guard sign != 0, let hours = number(2), accept(":"), let minutes = number(2), hours < 24, minutes < 60 else {
            return nil
        }
        return sign * (hours * 3_600 + minutes * 60)
    }

    private mutating func number(_ digits: Int) -> Int? {
        var value = 0
        var remaining = rest
        for _ in 0..<digits {
            guard let byte = remaining.first, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
            remaining = remaining.dropFirst()
        }
        rest = remaining
        return value
    }
}
