import ReenvioModel
import Testing

@Suite struct ResendTests {
    private func resend(endedAt: Timestamp?) -> Resend {
        let start = Timestamp(seconds: 1_774_339_200)
        return Resend(
            id: 1, jobID: "a3f1bc2e4d8f0a1b2c3d4e5f6a7b8c9d", merchantID: 303, accountID: 1, kind: .v2Payout,
            state: endedAt == nil ? .processing : .completed, window: ResendWindow(startSeconds: 0, endSeconds: 1),
            total: 87, queued: 87, failed: 0, reason: nil, requestedBy: "key", startedAt: start, updatedAt: start,
            endedAt: endedAt)
    }

    /// 24 hours from the end of the job (`docs/contract.md` 5).
    @Test(
        arguments: [
            (.zero, true), (.seconds(86_399), true), (.microseconds(86_399_999_999), true), (.seconds(86_400), false),
            (.seconds(86_401), false), (.seconds(90 * 86_400), false),
        ] as [(Duration, Bool)])
    func isShownForADay(after: Duration, shown: Bool) {
        let end = Timestamp(microseconds: 1_774_339_200_000_001)
        #expect(resend(endedAt: end).isShown(now: end + after) == shown)
    }

    @Test func isShownWhileItRuns() {
        #expect(resend(endedAt: nil).isShown(now: Timestamp(seconds: 1_774_339_200 + 400 * 86_400)))
    }

    @Test(arguments: 0..<50 as Range<UInt64>)
    func namesJobsIn32HexDigits(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let first = Resend.newJobID(using: &random)
        #expect(first.utf8.count == 32)
        #expect(first.utf8.allSatisfy { "0123456789abcdef".utf8.contains($0) })
        #expect(Resend.newJobID(using: &random) != first)
    }

    /// The words of the wire (`docs/contract.md` 1.3).
    @Test func statesHaveTheWordsOfTheWire() {
        #expect(Resend.State.processing.rawValue == "processing")
        #expect(Resend.State.completed.rawValue == "completed")
        #expect(Resend.State.failed.rawValue == "failed")
    }
}
