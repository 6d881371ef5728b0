/// The `Retry-After` header: seconds or an HTTP date, at most an hour; what does not parse counts as absent
/// (`docs/contract.md` 3.4).
package enum RetryAfter {
    package static let longest: Duration = .seconds(3_600)

    package static func wait(_ text: String?, now: Timestamp) -> Duration? {
        guard let text = text.map(trimmed), !text.isEmpty else { return nil }
        if text.utf8.allSatisfy(\.isDigit) { return min(longest, .seconds(Int64(text) ?? 3_600)) }
        guard let date = httpDate(text, now: now) else { return nil }
        return date <= now ? .zero : min(longest, date - now)
    }

    private static func trimmed(_ text: String) -> Substring {
        var rest = text.drop { $0 == " " || $0 == "\t" }
        while rest.last == " " || rest.last == "\t" { rest.removeLast() }
        return rest
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// The three forms of RFC 9110, 5.6.7, which a recipient must understand:
    /// `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
    private static func httpDate(_ text: Substring, now: Timestamp) -> Timestamp? {
        let parts = text.split(separator: " ")
        if parts.count == 6, parts[0].hasSuffix(","), parts[5] == "GMT" {
            return date(parts[3], parts[2], parts[1], parts[4])
        }
        if parts.count == 4, parts[0].hasSuffix(","), parts[3] == "GMT" {
            let day = parts[1].split(separator: "-", omittingEmptySubsequences: false)
            guard day.count == 3, day[2].utf8.count == 2, let year = number(day[2]) else { return nil }
            return nearest(to: now) { century in date(Substring("\(century + year)"), day[1], day[0], parts[2]) }
        }
        if parts.count == 5 { return date(parts[4], parts[1], parts[2], parts[3]) }
        return nil
    }

    /// Two digits of a year are those of the century that does not put the date more than 50 years ahead.
    private static func nearest(to now: Timestamp, _ date: (Int) -> Timestamp?) -> Timestamp? {
        let current = CivilTime(now).year / 100 * 100
        let farthest = now + .seconds(50 * 31_556_952)
        return [current + 100, current, current - 100].lazy.compactMap(date).first { $0 <= farthest }
    }

    private static func date(
        _ year: Substring, _ month: Substring, _ day: Substring, _ time: Substring
    ) -> Timestamp? {
        let clock = time.split(separator: ":", omittingEmptySubsequences: false).map(number)
        guard year.utf8.count == 4, let year = number(year), let month = months.firstIndex(of: String(month)),
            let day = number(day), clock.count == 3, let hour = clock[0], let minute = clock[1],
            let second = clock[2]
        else { return nil }
        // A leap second is the next one.
        let leap = second == 60 ? 1 : 0
        let civil = CivilTime(
            year: year, month: month + 1, day: day, hour: hour, minute: minute, second: second - leap)
        return civil.map { $0.timestamp + .seconds(leap) }
    }

    /// Up to four digits and nothing else.
    private static func number(_ text: Substring) -> Int? {
        guard 1...4 ~= text.utf8.count, text.utf8.allSatisfy(\.isDigit) else { return nil }
        return Int(text)
    }
}
