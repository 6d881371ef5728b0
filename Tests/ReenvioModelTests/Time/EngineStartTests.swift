import ReenvioModel
import Testing

/// Where engine time begins (`docs/decisions/0009-two-clocks.md`).
struct EngineStartTests {
    struct Case: Sendable, CustomStringConvertible {
        var description: String
        /// Seconds; the clock that is followed stands at 1,000,000.
        var stored: Int64?
        var running: Int64?
        var asks: Bool
        var begins: Int64
    }

    static let reference = Timestamp(seconds: 1_000_000)
    static let cases = [
        Case(description: "a new store", stored: nil, running: nil, asks: false, begins: 1_000_000),
        Case(description: "stored a moment ago", stored: 999_998, running: nil, asks: false, begins: 1_000_000),
        Case(description: "stopped for long", stored: 900_000, running: nil, asks: true, begins: 1_000_000),
        Case(
            description: "a clock that was three hours ahead was set right", stored: 1_010_800, running: nil,
            asks: true,
            begins: 1_010_800),
        Case(
            description: "a clock that was 400 days ahead was set right", stored: 35_560_000, running: nil, asks: true,
            begins: 35_560_000),
        Case(
            description: "the database failed over to a clock an hour ahead, and a node runs", stored: 996_400,
            running: 996_401, asks: true, begins: 996_401),
        Case(
            description: "the database failed over to a clock an hour behind, and a node runs", stored: 1_003_600,
            running: 1_003_601, asks: true, begins: 1_003_601),
        Case(
            description: "a node runs that has stored nothing for long", stored: 900_000, running: 1_000_000,
            asks: true,
            begins: 1_000_000),
    ]

    @Test("engine time begins with that of running nodes, and never before what was stored", arguments: cases)
    func begins(_ one: Case) {
        let stored = one.stored.map(Timestamp.init(seconds:))
        #expect(EngineStart.asksNodes(reference: Self.reference, stored: stored) == one.asks)
        let chosen = EngineStart.choose(
            reference: Self.reference, stored: stored, running: one.running.map(Timestamp.init(seconds:)))
        #expect(chosen == Timestamp(seconds: one.begins))
    }

    @Test("no wait of a schedule, with its jitter and a lease, is farther than the farthest")
    func farthest() {
        for schedule in [RetrySchedule.standard, RetrySchedule(waits: [.zero, .seconds(30 * 86_400)])] {
            let longest = (schedule.waits.max() ?? .zero) * 11 / 10
            #expect(
                EngineStart.farthest(from: Self.reference, schedule: schedule)
                    > Self.reference + longest + .seconds(Limits.leaseSeconds))
        }
        let short = EngineStart.farthest(from: Self.reference, schedule: RetrySchedule(waits: [.zero]))
        #expect(short > Self.reference + RetryAfter.longest)
        #expect(short < Self.reference + .seconds(86_400))
    }
}
