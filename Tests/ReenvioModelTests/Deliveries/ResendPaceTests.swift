import ReenvioModel
import Testing

/// Beside live changes resends go a few at a time (`docs/architecture.md`, rule 5).
struct ResendPaceTests {
    private static let start = Timestamp(seconds: 1_000)

    @Test("a few at once, and then one more every 400 us")
    func pace() {
        var pace = ResendPace()
        #expect(pace.allowance(now: Self.start) == ResendPace.atOnce)
        pace.took(ResendPace.atOnce)
        #expect(pace.allowance(now: Self.start) == 0)
        #expect(pace.allowance(now: Self.start + .microseconds(399)) == 0)
        #expect(pace.allowance(now: Self.start + .microseconds(400)) == 1)
        #expect(pace.allowance(now: Self.start + .microseconds(1_600)) == 4)
        pace.took(3)
        #expect(pace.allowance(now: Self.start + .microseconds(1_600)) == 1)
    }

    @Test("time that was not used is not saved up")
    func burst() {
        var pace = ResendPace()
        pace.took(ResendPace.atOnce)
        #expect(pace.allowance(now: Self.start) == 0)
        #expect(pace.allowance(now: Self.start + .seconds(60)) == ResendPace.atOnce)
        pace.took(100)
        #expect(pace.allowance(now: Self.start + .seconds(60)) == 0)
    }

    @Test("2,500 in a second, however often it is asked", arguments: [100, 250, 333, 1_000] as [Int64])
    func rate(_ step: Int64) {
        var pace = ResendPace()
        pace.took(pace.allowance(now: Self.start))
        var taken = 0
        for moment in stride(from: step, through: 1_000_000, by: Int(step)) {
            let allowed = pace.allowance(now: Self.start + .microseconds(moment))
            taken += allowed
            pace.took(allowed)
        }
        #expect((2_490...2_500).contains(taken))
    }

    @Test("a clock that goes back stops nothing")
    func back() {
        var pace = ResendPace()
        pace.took(pace.allowance(now: Self.start))
        #expect(pace.allowance(now: Self.start - .seconds(5)) == 0)
        #expect(pace.allowance(now: Self.start - .seconds(4)) == ResendPace.atOnce)
    }
}
