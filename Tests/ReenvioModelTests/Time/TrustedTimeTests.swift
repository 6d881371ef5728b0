import ReenvioModel
import Testing

/// When the wall clock may be destroyed by (`docs/decisions/0009-two-clocks.md`).
struct TrustedTimeTests {
    private static let hour: Int64 = 3_600
    private static let day: Int64 = 86_400
    private static let start = Timestamp(seconds: 1_774_339_200)

    /// The wall clock `wall` seconds and the monotonic one `steady` seconds after the last good moment.
    private static func reading(_ wall: Int64, _ steady: Int64, boot: String = "a") -> ClockReading {
        ClockReading(wall: start + .seconds(wall), sinceBoot: .seconds(1_000 + steady), boot: boot)
    }

    private static func keeper(_ stored: TrustedTime? = TrustedTime(Self.reading(0, 0))) -> Judge {
        let judge = Judge()
        judge.take(stored)
        return judge
    }

    private final class Judge {
        private var keeper = ClockKeeper()

        var last: TrustedTime? { keeper.last }

        func take(_ stored: TrustedTime?) {
            keeper.take(stored)
        }

        func judge(_ now: ClockReading, server: Timestamp?) -> ClockKeeper.Verdict {
            keeper.judge(now, server: server)
        }
    }

    @Test("the text of a good moment is read as it was written, and nothing else is")
    func text() {
        let time = TrustedTime(Self.reading(0, 0, boot: "8f2a-11"), acceptances: 3)
        #expect(TrustedTime(time.text) == time)
        for text in ["", "1 2 3", "x 2 3 boot", "1 y 3 boot", "1 2 z boot"] { #expect(TrustedTime(text) == nil) }
    }

    @Test("a clock that goes with the monotonic one is good, however much time passes")
    func goesAlong() {
        let keeper = Self.keeper()
        let times: [(Int64, Int64)] = [
            (60, 60), (400 * Self.day, 400 * Self.day), (400 * Self.day + 1_800, 400 * Self.day),
        ]
        for (wall, steady) in times {
            #expect(keeper.judge(Self.reading(wall, steady), server: nil) == .good)
        }
        #expect(keeper.last?.reading.wall == Self.start + .seconds(400 * Self.day + 1_800))
    }

    @Test(
        "a jump while the machine runs is wrong whatever the database says, and good again once it is taken back",
        arguments: [2 * hour, -2 * hour, day, -day, 400 * day, -400 * day])
    func jumps(_ jump: Int64) {
        let keeper = Self.keeper()
        let jumped = Self.reading(60 + jump, 60)
        #expect(keeper.judge(jumped, server: jumped.wall) == .wrong(expected: Self.start + .seconds(60)))
        #expect(TrustedTime(Self.reading(0, 0)).expiry(at: jumped) == Self.start + .seconds(60))
        #expect(keeper.judge(Self.reading(120, 120), server: nil) == .good)
    }

    @Test("a gap of at most seven days is believed after an hour without a change, a larger one never")
    func settles() {
        for (gap, isBelieved) in [(Self.day, true), (-Self.day, true), (7 * Self.day, true), (8 * Self.day, false)] {
            let keeper = Self.keeper()
            #expect(keeper.judge(Self.reading(60 + gap, 60), server: nil) != .good)
            #expect(keeper.judge(Self.reading(3_000 + gap, 3_000), server: nil) != .good)
            let isGood = keeper.judge(Self.reading(3_661 + gap, 3_661), server: nil) == .good
            #expect(isGood == isBelieved, "\(gap)")
        }
    }

    @Test("a clock that is set again while it is doubted is doubted from the beginning")
    func changesWhileDoubted() {
        let keeper = Self.keeper()
        #expect(keeper.judge(Self.reading(Self.day, 0), server: nil) != .good)
        #expect(keeper.judge(Self.reading(2 * Self.day + 3_000, 3_000), server: nil) != .good)
        #expect(keeper.judge(Self.reading(2 * Self.day + 4_000, 4_000), server: nil) != .good)
        #expect(keeper.judge(Self.reading(2 * Self.day + 6_700, 6_700), server: nil) == .good)
    }

    @Test("after another start a short absence is good, days need an hour or the database, and more is wrong")
    func restarted() {
        func judge(_ gap: Int64, server: Timestamp? = nil) -> ClockKeeper.Verdict {
            let keeper = Self.keeper()
            return keeper.judge(Self.reading(gap, -900, boot: "b"), server: server)
        }
        #expect(judge(600) == .good)
        #expect(judge(2 * Self.day) == .unproven(expected: Self.start))
        #expect(judge(2 * Self.day, server: Self.start + .seconds(2 * Self.day)) == .good)
        #expect(judge(2 * Self.day, server: Self.start) == .unproven(expected: Self.start))
        #expect(judge(8 * Self.day, server: Self.start + .seconds(8 * Self.day)) == .wrong(expected: Self.start))
        #expect(judge(-400 * Self.day) == .wrong(expected: Self.start))
    }

    @Test("what an operator accepted is believed at once")
    func accepted() {
        let keeper = Self.keeper()
        let now = Self.reading(400 * Self.day, 60)
        #expect(keeper.judge(now, server: nil) != .good)
        keeper.take(TrustedTime(Self.reading(0, 0)))
        #expect(keeper.judge(now, server: nil) != .good)
        keeper.take(TrustedTime(now, acceptances: 1))
        #expect(keeper.judge(Self.reading(400 * Self.day + 60, 120), server: nil) == .good)
    }

    @Test("without a good moment before, the first one is")
    func first() {
        let keeper = Self.keeper(nil)
        #expect(keeper.judge(Self.reading(0, 0), server: nil) == .good)
        #expect(keeper.last == TrustedTime(Self.reading(0, 0)))
    }
}
