import ReenvioModel
import Testing

/// `docs/contract.md` 13.6: attempts of a resend per second.
@Suite struct PaceSlotsTests {
    private static let start = Timestamp(seconds: 1_774_339_200)

    @Test("over any ten seconds the slots are those of the pace, within 5 %", arguments: [1, 3, 7, 50, 999, 10_000])
    func keepsThePace(perSecond: Int64) {
        var pace = PaceSlots(perSecond: perSecond, next: nil)
        var slots: [Timestamp] = []
        while slots.count < perSecond * 21 { slots += pace.take(min(200, Int(perSecond)), from: Self.start) }
        #expect(slots == slots.sorted())
        for second in 0..<10 {
            let from = Self.start + .seconds(second)
            let count = Double(slots.count { $0 >= from && $0 < from + .seconds(10) })
            let asked = Double(perSecond * 10)
            #expect(abs(count - asked) <= max(1, asked * 0.05), "\(count) from second \(second)")
        }
    }

    @Test func nothingComesBeforeItsTime() {
        var pace = PaceSlots(perSecond: 10, next: nil)
        let late = Self.start + .seconds(7)
        #expect(pace.take(1, from: Self.start) == [Self.start])
        #expect(pace.take(2, from: late).allSatisfy { $0 >= late })
        #expect(pace.take(1, from: Self.start)[0] > late, "the sequence goes on behind what was taken")
    }

    @Test func aChunkTakesNoMoreThanTheHorizonHolds() {
        var pace = PaceSlots(perSecond: 10, next: nil)
        #expect(pace.chunkRoom(now: Self.start) == 50)
        _ = pace.take(50, from: Self.start)
        #expect(pace.chunkRoom(now: Self.start) == 0)
        #expect(pace.chunkRoom(now: Self.start + .milliseconds(400)) == 0, "fewer than half a second's worth")
        #expect(pace.chunkRoom(now: Self.start + .milliseconds(500)) == 5)
        #expect(PaceSlots(perSecond: 10_000, next: nil).chunkRoom(now: Self.start) == 200)
        #expect(PaceSlots(perSecond: 1, next: nil).chunkRoom(now: Self.start) == 5)
    }

    @Test func aSlotIsLostAfterAWhile() {
        let due = Self.start
        #expect(PaceSlots.isFresh(due: due, now: due))
        #expect(PaceSlots.isFresh(due: due, now: due + .milliseconds(350)))
        #expect(!PaceSlots.isFresh(due: due, now: due + .milliseconds(351)))
        #expect(PaceSlots.oldestFresh(now: due + .milliseconds(350)) == due)
    }

    @Test func whatIsStoredGoesOn() {
        var first = PaceSlots(perSecond: 4, next: nil)
        let before = first.take(4, from: Self.start)
        var second = PaceSlots(perSecond: 4, next: first.next)
        #expect(second.take(1, from: Self.start)[0] == Self.start + .seconds(1))
        #expect(before.count == 4)
    }
}

/// `docs/contract.md` 13.14.
@Suite struct CanaryTests {
    private func verdict(
        queued: Int64 = 20, acknowledged: Int64 = 0, undelivered: Int64 = 0, skipped: Int64 = 0,
        failedTwice: Int64 = 0, failedBehind: Int64 = 0, untriedBehind: Int64 = 0
    ) -> Canary.Verdict {
        Canary(
            queued: queued, acknowledged: acknowledged, undelivered: undelivered, skipped: skipped,
            failedTwice: failedTwice, failedBehindBreaker: failedBehind, untriedBehindBreaker: untriedBehind
        ).verdict
    }

    @Test func waitsUntilEachIsDecided() {
        #expect(verdict() == .undecided)
        #expect(verdict(acknowledged: 19) == .undecided, "the twentieth may still fail")
        #expect(verdict(acknowledged: 13, undelivered: 3, failedTwice: 3) == .undecided)
    }

    @Test(
        "95 of 100 are enough",
        arguments: [(20, 19, true), (20, 18, false), (1, 1, true), (1, 0, false), (100, 95, true)])
    func share(asked: Int64, acknowledged: Int64, passes: Bool) {
        let verdict = verdict(queued: asked, acknowledged: acknowledged, failedTwice: asked - acknowledged)
        #expect((verdict == .passed) == passes)
    }

    @Test func saysHowMany() {
        #expect(
            verdict(acknowledged: 14, undelivered: 2, failedTwice: 4)
                == .failed(reason: "Canary failed: 14 of 20 acknowledged."))
    }

    @Test func thoseAcknowledgedMeanwhileSayNothing() {
        #expect(verdict(acknowledged: 10, skipped: 10) == .passed)
        #expect(verdict(skipped: 20) == .passed)
        #expect(
            verdict(acknowledged: 9, undelivered: 1, skipped: 10)
                == .failed(reason: "Canary failed: 9 of 10 acknowledged."))
    }

    @Test func whatABreakerHoldsBackIsNotWaitedForWhenItCannotHelp() {
        let none = Canary.Verdict.failed(reason: "Canary failed: 0 of 20 acknowledged.")
        #expect(verdict(failedTwice: 2, untriedBehind: 18) == none)
        #expect(verdict(failedBehind: 12, untriedBehind: 8) == none)
        #expect(verdict(failedTwice: 2, failedBehind: 10, untriedBehind: 7) == .undecided, "one is on its way")
        #expect(verdict(failedBehind: 1, untriedBehind: 19) == .undecided, "19 of 20 would be enough")
        #expect(verdict(acknowledged: 19, failedBehind: 1) == .undecided, "it would be enough as it is")
    }
}
