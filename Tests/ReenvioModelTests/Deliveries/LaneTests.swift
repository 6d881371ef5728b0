import ReenvioModel
import Testing

@Suite struct LaneTests {
    /// `docs/architecture.md`, rule 5.
    @Test func sharesAreEightThreeOne() {
        #expect(Lane.allCases == [.live, .retry, .resend])
        #expect(Lane.allCases.map(\.share) == [8, 3, 1])
        #expect(Lane.allCases.sorted() == Lane.allCases)
    }

    @Test func laterLanesLeaveRoomForEarlierOnes() {
        #expect(Lane.live.ceilingPercent == 100)
        #expect(Lane.live.ceilingPercent > Lane.retry.ceilingPercent)
        #expect(Lane.retry.ceilingPercent > Lane.resend.ceilingPercent)
    }
}

@Suite struct QueueIDTests {
    @Test(arguments: [0, 1, 2, 7, 1_000_000, Int64.max >> 2, -1, Int64.min >> 2], Lane.allCases)
    func comesBack(receiverID: Int64, lane: Lane) {
        let queue = QueueID(receiverID: receiverID, lane: lane)
        #expect(QueueID(raw: queue.raw) == queue)
    }

    @Test func differsByReceiverAndLane() {
        let raws = (0..<100).flatMap { id in Lane.allCases.map { QueueID(receiverID: id, lane: $0).raw } }
        #expect(Set(raws).count == raws.count)
    }

    @Test(arguments: [3, 7, -1] as [Int64])
    func hasNoFourthLane(raw: Int64) {
        #expect(QueueID(raw: raw) == nil)
    }
}
