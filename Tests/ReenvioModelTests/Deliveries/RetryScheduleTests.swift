import ReenvioModel
import Testing

@Suite struct RetryScheduleTests {
    /// `docs/contract.md` 3.4, in seconds.
    static let documented: [Int64] = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]

    @Test func standardIsTheDocumentedOne() {
        #expect(RetrySchedule.standard.waits == Self.documented.map { .seconds($0) })
        #expect(RetrySchedule(RetrySchedule.defaultText) == .standard)
        #expect(RetrySchedule.defaultText == "0s,5s,5m,30m,2h,5h,10h,10h")
        #expect(RetrySchedule.standard.firstWait == .zero)
    }

    /// The wait before attempt n + 1 follows attempt n: never sooner, at most a tenth later.
    @Test(arguments: 1...7)
    func waitsWithJitterOnTop(attempt: Int) throws {
        let wait = Self.documented[attempt] * 1_000_000
        var least = ConstantBits(bits: 1)
        var most = ConstantBits(bits: .max)
        let schedule = RetrySchedule.standard
        #expect(schedule.wait(afterAttempt: attempt, using: &least) == .microseconds(wait))
        #expect(schedule.wait(afterAttempt: attempt, using: &most) == .microseconds(wait + wait / 10))
        var random = SplitMix64(seed: UInt64(attempt))
        var seen: Set<Duration> = []
        for _ in 0..<500 {
            let span = try #require(schedule.wait(afterAttempt: attempt, using: &random))
            #expect(span >= .microseconds(wait) && span <= .microseconds(wait + wait / 10))
            seen.insert(span)
        }
        #expect(seen.count > 400)
    }

    @Test(arguments: [8, 9, 100])
    func endsAfterTheLastAttempt(attempt: Int) {
        var random = SplitMix64(seed: 1)
        #expect(RetrySchedule.standard.wait(afterAttempt: attempt, using: &random) == nil)
    }

    @Test func neverWaitsLessThanNothing() throws {
        var random = ConstantBits(bits: .max)
        let schedule = try #require(RetrySchedule("5s,0s"))
        #expect(schedule.firstWait == .seconds(5))
        #expect(schedule.wait(afterAttempt: 1, using: &random) == .zero)
        #expect(schedule.wait(afterAttempt: 2, using: &random) == nil)
    }

    @Test(
        arguments: [
            ("0s", [0]), ("1s", [1]), ("007s", [7]), ("1m,1h,1d", [60, 3_600, 86_400]), ("0s, 5s,  5m", [0, 5, 300]),
            ("30d", [2_592_000]), ("720h", [2_592_000]), ("2592000s", [2_592_000]), ("5m,5s", [300, 5]),
        ] as [(String, [Int64])])
    func readsTexts(text: String, seconds: [Int64]) {
        #expect(RetrySchedule(text)?.waits == seconds.map { .seconds($0) })
    }

    @Test(arguments: [
        "", " ", ",", "0s,", ",0s", "0s,,5s", "s", "5", "5x", "5S", "5 s", "5ms", "-5s", "+5s", "1.5h", "0x5s", "5s;5m",
        "5s 5m",
        "31d", "721h", "2592001s", "99999999s", "9223372036854775807d", "٥s", "5s\n", "1e3s",
    ])
    func refusesTexts(text: String) {
        #expect(RetrySchedule(text) == nil)
    }

    @Test func takesAHundredStepsAndNoMore() {
        func text(_ count: Int) -> String { Array(repeating: "1s", count: count).joined(separator: ",") }
        #expect(RetrySchedule(text(100))?.waits.count == 100)
        #expect(RetrySchedule(text(101)) == nil)
    }
}
