/// Durations as the settings write them: a whole number and a unit s, m, h or d.
package enum DurationText {
    /// Nil unless it is such a text of at most `maxDays` days.
    package static func seconds(_ text: some StringProtocol, maxDays: Int64) -> Int64? {
        guard let unit = text.last, let scale = scale(of: unit) else { return nil }
        let digits = text.dropLast()
        guard !digits.isEmpty, digits.utf8.count <= 9, digits.utf8.allSatisfy({ (48...57).contains($0) }),
            let count = Int64(digits), count <= maxDays * 86_400 / scale
        else { return nil }
        return count * scale
    }

    private static func scale(of unit: Character) -> Int64? {
        switch unit {
        case "s": 1
        case "m": 60
        case "h": 3_600
        case "d": 86_400
        default: nil
        }
    }
}
