/// The waits before each attempt of a delivery (`docs/contract.md` 3.4). The default is
/// 0 s, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h: eight attempts over about 28 hours.
package struct RetrySchedule: Equatable, Sendable {
    package let waits: [Duration]

    package static let defaultText = "0s,5s,5m,30m,2h,5h,10h,10h"
    package static let standard = RetrySchedule(waits: [
        .seconds(0), .seconds(5), .seconds(300), .seconds(1_800), .seconds(7_200), .seconds(18_000), .seconds(36_000),
        .seconds(36_000),
    ])

    /// That of a v3 resend, whatever the settings say (`docs/contract.md` 6.4).
    package static let logResend = RetrySchedule(waits: [.seconds(0), .seconds(5), .seconds(300)])

    package init(waits: [Duration]) {
        self.waits = waits
    }

    /// Reads `0s,5s,5m,30m,2h,1d`: whole numbers with a unit s, m, h or d; at most 100 steps of at most 30 days.
    package init?(_ text: String) {
        var waits: [Duration] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let trimmed = part.drop { $0 == " " }
            guard let seconds = DurationText.seconds(trimmed, maxDays: 30) else { return nil }
            waits.append(.seconds(seconds))
        }
        guard (1...100).contains(waits.count) else { return nil }
        self.waits = waits
    }

    /// How long a new delivery waits for its first attempt.
    package var firstWait: Duration { waits[0] }

    /// The wait after attempt `number` (from 1) ended, with up to 10 % jitter on top and never less; nil when that
    /// attempt was the last.
    package func wait(afterAttempt number: Int, using generator: inout some RandomNumberGenerator) -> Duration? {
        guard number < waits.count else { return nil }
        let wait = waits[max(number, 1)].microseconds
        let jitter = wait >= 10 ? Int64.random(in: 0...wait / 10, using: &generator) : 0
        return .microseconds(wait + jitter)
    }
}
