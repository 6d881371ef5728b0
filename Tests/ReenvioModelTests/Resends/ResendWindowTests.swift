import ReenvioModel
import Testing

@Suite struct ResendWindowTests {
    /// Every second of the window lies in exactly one part, and nothing else does.
    @Test(arguments: 0..<400 as Range<UInt64>)
    func partsCoverEachSecondOnce(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let base =
            [0, -60, -86_400, 1_774_339_200, -62_135_596_800, 253_402_300_799].randomElement(using: &random) ?? 0
        let start = Int64(base) + Int64.random(in: -200...200, using: &random)
        let lengths: [ClosedRange<Int64>] = [0...3, 55...65, 110...130, 0...600, 10_700...10_800]
        let end = start + Int64.random(in: lengths.randomElement(using: &random) ?? 0...0, using: &random)
        expectExact(ResendWindow(startSeconds: start, endSeconds: end))
    }

    /// All short windows around the epoch, where rounding changes its direction.
    @Test func partsCoverShortWindows() {
        for start in Int64(-125)...125 {
            for length in [Int64(0), 1, 2, 57, 58, 59, 60, 61, 62, 117, 118, 119, 120, 121, 122, 179, 180, 181] {
                expectExact(ResendWindow(startSeconds: start, endSeconds: start + length))
            }
        }
    }

    private func expectExact(_ window: ResendWindow, sourceLocation: SourceLocation = #_sourceLocation) {
        let parts = window.parts
        var covered: [Int64] = parts.edges.flatMap { Array($0) }
        // The edges are less than a minute each, so that the counters carry the weight.
        if parts.minutes != nil {
            #expect(parts.edges.allSatisfy { $0.count < 60 }, "\(window)", sourceLocation: sourceLocation)
        }
        for minute in parts.minutes.map(Array.init) ?? [] { covered += minute * 60..<minute * 60 + 60 }
        covered.sort()
        let wanted = Array(window.startSeconds...window.endSeconds)
        if covered != wanted { Issue.record("\(window) is split into \(parts)", sourceLocation: sourceLocation) }
    }

    @Test func usesEveryWholeMinute() {
        expectParts(600, 779, minutes: 10...12, edges: [])
        expectParts(599, 780, minutes: 10...12, edges: [599...599, 780...780])
        expectParts(600, 659, minutes: 10...10, edges: [])
        expectParts(601, 718, minutes: nil, edges: [601...718])
        expectParts(-61, 0, minutes: -1 ... -1, edges: [-61 ... -61, 0...0])
        expectParts(-60, 59, minutes: -1...0, edges: [])
    }

    private func expectParts(
        _ start: Int64, _ end: Int64, minutes: ClosedRange<Int64>?, edges: [ClosedRange<Int64>],
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let parts = ResendWindow(startSeconds: start, endSeconds: end).parts
        #expect(parts.minutes == minutes, sourceLocation: sourceLocation)
        #expect(parts.edges == edges, sourceLocation: sourceLocation)
    }

    @Test(
        arguments: [
            (0, 0), (59, 0), (60, 1), (119, 1), (-1, -1), (-60, -1), (-61, -2), (1_774_339_530, 29_572_325),
        ] as [(Int64, Int64)])
    func minuteOfASecond(second: Int64, minute: Int64) {
        #expect(ResendWindow.minute(ofSecond: second) == minute)
    }
}
