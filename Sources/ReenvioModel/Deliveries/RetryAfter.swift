/// The `Retry-After` header: seconds or an HTTP date, at most an hour; what does not parse counts as absent
/// (`docs/contract.md` 3.4).
package enum RetryAfter {
    package static let longest: Duration = .seconds(3_600)

    package static func wait(_ text: String?, now: Timestamp) -> Duration? {
        guard let text else { return nil }
        if !text.isEmpty, text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) {
            return min(longest, .seconds(Int64(text) ?? 3_600))
        }
        guard let date = httpDate(text) else { return nil }
        return date <= now ? .zero : min(longest, date - now)
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that HTTP senders may generate (RFC 9110, 5.6.7).
    private static func httpDate(_ text: String) -> Timestamp? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[0].hasSuffix(","), parts[5] == "GMT",
            let month = months.firstIndex(of: String(parts[2])),
            let day = Int(parts[1]), let year = Int(parts[3])
        else { return nil }
        let clock = parts[4].split(separator: ":")
        guard clock.count == 3, let hour = Int(clock[0]), let minute = Int(clock[1]), let second = Int(clock[2]) else {
            return nil
        }
        return CivilTime(year: year, month: month + 1, day: day, hour: hour, minute: minute, second: second)?.timestamp
    }
}
