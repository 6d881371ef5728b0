import ReenvioModel
import Testing

/// `docs/contract.md` 13.1: the one word for how far a resend is, of jobs and logs.
struct ResendPhaseTests {
    private func phase(
        _ kind: Resend.Kind, _ state: Resend.State, isCanceled: Bool = false, total: Int64 = 10, failed: Int64 = 0,
        _ delivered: Int64 = 0, _ undelivered: Int64 = 0, _ pending: Int64 = 0, _ skipped: Int64 = 0
    ) -> ResendPhase {
        ResendPhase(
            kind: kind, state: state, isCanceled: isCanceled, total: total, failed: failed,
            ResendOutcome(delivered: delivered, undelivered: undelivered, pending: pending, skipped: skipped))
    }

    @Test("a completed job is named after its outcome, never after its enqueueing")
    func completedJobs() {
        #expect(phase(.v2Payout, .completed, 0, 0, 10) == .delivering)
        #expect(phase(.v2Payout, .completed, 9, 0, 1) == .delivering)
        #expect(phase(.v2Payout, .completed, 10) == .delivered)
        #expect(phase(.v2Payout, .completed, 6, 0, 0, 4) == .delivered, "acknowledged meanwhile is not missing")
        #expect(phase(.v2Payout, .completed, 9, 1) == .partlyDelivered)
        #expect(phase(.v2Payout, .completed, failed: 1, 9) == .partlyDelivered)
        #expect(phase(.v2Payout, .completed, 0, 10) == .undelivered)
        #expect(phase(.v2Payout, .completed, failed: 10) == .undelivered, "nothing could be enqueued")
        #expect(phase(.v2Payout, .completed, 0, 0, 0, 10) == .skipped)
        #expect(phase(.v2Payout, .completed, total: 0) == .empty)
    }

    @Test("what runs, was canceled or failed says so, whatever was delivered")
    func others() {
        #expect(phase(.v2Payout, .processing, 3, 0, 7) == .processing)
        #expect(phase(.v2Payout, .failed, 14, 6) == .failed)
        for state in [Resend.State.failed, .completed] {
            #expect(phase(.v2Payout, state, isCanceled: true, 3, 0, 0, 7) == .canceled)
        }
    }

    @Test("a log fails by its outcome, and is named after it")
    func logs() {
        for kind in [Resend.Kind.v3CashIn, .v3CashOut] {
            #expect(phase(kind, .processing, total: 0) == .processing)
            #expect(phase(kind, .awaiting, 3, 0, 7) == .delivering)
            #expect(phase(kind, .completed, 10) == .delivered)
            #expect(phase(kind, .completed, total: 0) == .empty)
            #expect(phase(kind, .failed, 7, 3) == .partlyDelivered)
            #expect(phase(kind, .failed, failed: 4, 0, 6) == .undelivered)
            #expect(phase(kind, .failed, 5, 0, 0, 5) == .partlyDelivered, "a registration was deleted under it")
            #expect(phase(kind, .failed, 0, 0, 0, 10) == .undelivered, "all of them were")
            #expect(phase(kind, .failed, total: 0) == .failed, "no registration took it")
            #expect(phase(kind, .failed, 3, 0, 7) == .failed, "it broke off")
            #expect(phase(kind, .failed, isCanceled: true, 3, 0, 0, 7) == .canceled)
        }
    }

    @Test("a batch is named after the outcomes of all its jobs")
    func batches() {
        func phase(
            _ state: ResendBatch.State, isStopped: Bool = false, total: Int64 = 10, failed: Int64 = 0,
            _ delivered: Int64 = 0, _ undelivered: Int64 = 0, _ pending: Int64 = 0, _ skipped: Int64 = 0
        ) -> ResendPhase {
            ResendPhase(
                batch: state, isStopped: isStopped, total: total, failed: failed,
                ResendOutcome(delivered: delivered, undelivered: undelivered, pending: pending, skipped: skipped))
        }
        #expect(phase(.processing, 10) == .processing, "jobs of other merchants may follow")
        #expect(phase(.completed, 3, 0, 7) == .delivering)
        #expect(phase(.completed, 10) == .delivered)
        #expect(phase(.completed, 9, 1) == .partlyDelivered)
        #expect(phase(.completed, failed: 1, 9) == .partlyDelivered)
        #expect(phase(.completed, 0, 10) == .undelivered)
        #expect(phase(.completed, 0, 0, 0, 10) == .skipped)
        #expect(phase(.completed, total: 0) == .empty)
        #expect(phase(.completed, isStopped: true, 3, 0, 7) == .delivering)
        #expect(phase(.completed, isStopped: true, 10) == .failed, "the later windows of a merchant were not sent")
        #expect(phase(.canceled, 3, 0, 0, 7) == .canceled)
    }

    @Test("only what misses nothing is complete", arguments: ResendPhase.allCases)
    func complete(_ phase: ResendPhase) {
        #expect(phase.isComplete == [.delivered, .skipped, .empty].contains(phase))
        #expect(!phase.words.contains("_"))
    }
}
