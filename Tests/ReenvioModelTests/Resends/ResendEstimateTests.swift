import ReenvioModel
import Testing

/// `docs/contract.md` 13.7: how long a job takes about, or why that cannot be known.
@Suite struct ResendEstimateTests {
    private func share(
        _ total: Int64, _ health: ReceiverHealth = .ok, latency: Duration? = nil, hold: Duration? = nil,
        at host: String = "a"
    ) -> ResendEstimate.Share {
        ResendEstimate.Share(
            origin: "https://\(host).example:443", total: total, health: health, latency: latency, hold: hold)
    }

    private func seconds(
        _ shares: ResendEstimate.Share..., maxPerSecond: Int64? = nil, firstWait: Duration = .zero
    ) -> Int64? {
        ResendEstimate(maxPerSecond: maxPerSecond, firstWait: firstWait, shares).seconds
    }

    @Test func byThePaceAskedForOrTheNodes() {
        #expect(seconds() == 0)
        #expect(seconds(share(87)) == 1)
        #expect(seconds(share(2_500), share(2_500)) == 2)
        #expect(seconds(share(5_001)) == 3)
        #expect(seconds(share(100), maxPerSecond: 10) == 10)
        #expect(seconds(share(50_000), maxPerSecond: 10_000) == 20, "a pace above the node's changes nothing")
    }

    @Test func byWhatTheSlowestReceiverTakes() {
        #expect(seconds(share(1_280, latency: .seconds(1))) == 10)
        #expect(seconds(share(128, latency: .milliseconds(500)), share(1_152)) == 1)
        #expect(seconds(share(40, .slow, latency: .seconds(1)), share(1_280, latency: .seconds(1))) == 10)
        #expect(seconds(share(400, .slow, latency: .seconds(1))) == 100, "a slow receiver has few slots")
        #expect(seconds(share(.max / 2, latency: .seconds(5)), maxPerSecond: 10_000) != nil, "no overflow")
    }

    @Test func theScheduleAndAShortHoldAreWaitedFor() {
        #expect(seconds(share(10), firstWait: .seconds(30)) == 31)
        #expect(seconds(share(0), firstWait: .seconds(30)) == 0, "nothing to send waits for nothing")
        #expect(seconds(share(10, .slow, latency: .milliseconds(1), hold: .seconds(20))) == 21)
    }

    @Test(arguments: [
        (ReceiverHealth.paused, Duration?.none, ResendEstimate.Wait.Reason.paused, "is paused"),
        (.broken, nil, .broken, "is broken"), (.slow, .seconds(61), .held, "asked to be left alone"),
    ])
    func cannotBeKnown(
        _ health: ReceiverHealth, _ hold: Duration?, _ reason: ResendEstimate.Wait.Reason, _ words: String
    ) {
        let estimate = ResendEstimate(
            maxPerSecond: nil, firstWait: .zero,
            [share(10, latency: .seconds(1)), share(1, health, hold: hold, at: "b")])
        #expect(estimate.seconds == nil)
        #expect(estimate.waits == [ResendEstimate.Wait(origin: "https://b.example:443", reason: reason)])
        #expect(estimate.sentence == "How long it takes cannot be estimated: https://b.example:443 \(words).")
    }

    @Test func aReceiverThatGetsNothingDoesNotMatter() {
        #expect(seconds(share(87), share(0, .paused)) == 1)
    }

    @Test func namesNoMoreThanTheBound() {
        let shares = (0..<100).map { share(1, .paused, at: "h\($0)") }
        #expect(ResendEstimate(maxPerSecond: nil, firstWait: .zero, shares).waits.count == Limits.explainedReceivers)
    }
}
