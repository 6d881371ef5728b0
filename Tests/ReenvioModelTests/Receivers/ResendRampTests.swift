import Foundation
import ReenvioModel
import Testing

/// How a resend starts at a receiver (`docs/architecture.md`, rule 5).
@Suite struct ResendRampTests {
    private func acknowledge(_ ramp: inout ResendRamp, _ count: Int, took: Duration = .milliseconds(80)) {
        for _ in 0..<count { ramp.note(.acknowledged, took: took) }
    }

    @Test func startsWithFewAndDoublesEachRound() {
        var ramp = ResendRamp(ceiling: 128)
        #expect(ramp.slots == 4)
        acknowledge(&ramp, 4)
        #expect(ramp.slots == 8)
        acknowledge(&ramp, 8)
        #expect(ramp.slots == 16)
        acknowledge(&ramp, 1_000)
        #expect(ramp.slots == 128)
    }

    @Test(
        "halves at once, and once for what was in flight",
        arguments: [
            AttemptOutcome.answered(statusCode: 429, retryAfter: nil), .answered(statusCode: 503, retryAfter: "1"),
            .failed(.timedOut),
        ])
    func backsOff(outcome: AttemptOutcome) {
        var ramp = ResendRamp(ceiling: 128)
        acknowledge(&ramp, 60)
        #expect(ramp.slots == 64)
        ramp.note(outcome, took: .milliseconds(80))
        #expect(ramp.slots == 32)
        for _ in 0..<20 { ramp.note(outcome, took: .milliseconds(80)) }
        #expect(ramp.slots == 32)
        acknowledge(&ramp, 12)
        for _ in 0..<32 { ramp.note(outcome, took: .milliseconds(80)) }
        #expect(ramp.slots < 32, "it still says so a round later")
    }

    @Test func afterABackOffItGrowsByOneARound() {
        var ramp = ResendRamp(ceiling: 128)
        acknowledge(&ramp, 60)
        ramp.note(.failed(.timedOut), took: .seconds(5))
        acknowledge(&ramp, 31)
        #expect(ramp.slots == 32)
        acknowledge(&ramp, 1)
        #expect(ramp.slots == 33)
    }

    @Test(arguments: [
        AttemptOutcome.answered(statusCode: 404, retryAfter: nil), .answered(statusCode: 500, retryAfter: nil),
    ])
    func otherAnswersNeitherRaiseNorLowerIt(outcome: AttemptOutcome) {
        var ramp = ResendRamp(ceiling: 128)
        for _ in 0..<50 { ramp.note(outcome, took: .milliseconds(80)) }
        #expect(ramp.slots == 4)
    }

    @Test func holdsWhileAnswersTakeMuchLonger() {
        var ramp = ResendRamp(ceiling: 128)
        acknowledge(&ramp, 20)
        #expect(ramp.slots == 24)
        acknowledge(&ramp, 16, took: .milliseconds(400))
        let held = ramp.slots
        acknowledge(&ramp, 60, took: .milliseconds(400))
        #expect(ramp.slots == held)
        acknowledge(&ramp, 200, took: .milliseconds(2_000))
        #expect(ramp.slots < held, "far slower: fewer")
        let few = ramp.slots
        acknowledge(&ramp, 400)
        #expect(ramp.slots > few, "and it recovers")
    }

    @Test func oneLuckyAnswerHoldsNobodyDown() {
        var ramp = ResendRamp(ceiling: 128)
        acknowledge(&ramp, 1, took: .microseconds(500))
        acknowledge(&ramp, 124, took: .milliseconds(120))
        #expect(ramp.slots == 128)
    }

    @Test("answers that take now this long, now that, are no reason to hold", arguments: [80, 100])
    func noise(milliseconds: Double) {
        var random = SplitMix64(seed: 7)
        var ramp = ResendRamp(ceiling: 96)
        for _ in 0..<2_000 {
            let share = Double(random.next() >> 11) / Double(1 << 53)
            let exponential = -log(max(share, 1e-9)) * milliseconds
            ramp.note(.acknowledged, took: .microseconds(Int64(exponential * 1_000)))
        }
        #expect(ramp.slots == 96)
    }

    @Test func differencesBelowATenthOfASecondSayNothing() {
        var ramp = ResendRamp(ceiling: 128)
        acknowledge(&ramp, 20, took: .microseconds(300))
        acknowledge(&ramp, 1_000, took: .milliseconds(95))
        #expect(ramp.slots == 128)
    }

    @Test func neverLeavesItsBounds() {
        var ramp = ResendRamp(ceiling: 2)
        acknowledge(&ramp, 50)
        #expect(ramp.slots == 2)
        for _ in 0..<50 { ramp.note(.failed(.timedOut), took: .seconds(5)) }
        #expect(ramp.slots == 1)
    }

    @Test func theBookForgetsARampThatRests() {
        let start = Timestamp(seconds: 1_774_339_200)
        var book = ReceiverBook()
        for _ in 0..<20 { book.noteResend(.acknowledged, of: 7, took: .milliseconds(5), at: start) }
        #expect(book.resendSlots(of: 7) == 24)
        #expect(book.restRamps(at: start + .seconds(30)).isEmpty)
        #expect(book.restRamps(at: start + .seconds(30.5)).isEmpty, "looked at once a second")
        #expect(book.restRamps(at: start + .seconds(32)) == [7])
        #expect(book.resendSlots(of: 7) == nil)
    }

    @Test func liveDeliveriesDoNotFeelIt() {
        var turns = Turns(slotsAtFirst: 16, resendSlotsAtFirst: 4)
        turns.setSlots(128, isProven: true, of: 1)
        let resend = Turns.Candidate(merchantID: 1, queue: QueueID(receiverID: 1, lane: .resend))
        let live = Turns.Candidate(merchantID: 1, queue: QueueID(receiverID: 1, lane: .live))
        var grants = turns.grants(for: [resend])
        #expect(grants.map(\.count) == [4])
        grants = turns.grants(for: [live, resend])
        #expect(grants.first { $0.queue.lane == .live }?.count ?? 0 > 90)
        turns.took(40, from: live, hasMore: true)
        #expect(turns.grants(for: [resend]).map(\.count) == [4], "what live deliveries hold is not a resend's")
        turns.took(4, from: resend, hasMore: true)
        #expect(turns.grants(for: [resend]).map(\.count) == [0])
        turns.setResendSlots(9, of: 1)
        #expect(turns.grants(for: [resend]).map(\.count) == [5])
    }
}
