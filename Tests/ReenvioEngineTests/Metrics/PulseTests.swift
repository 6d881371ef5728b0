import ReenvioEngine
import ReenvioModel
import ReenvioTesting
import Testing

@Suite struct PulseTests {
    private static let start = Timestamp(seconds: 1_774_339_200)

    private static func attempt(_ receiverID: Int64, ok: Bool = true) -> Pulse.Attempt {
        Pulse.Attempt(merchantID: 303, receiverID: receiverID, isAcknowledged: ok)
    }

    @Test func countsByMinuteAndForgetsAfterAnHour() {
        let pulse = Pulse()
        #expect(pulse.all(now: Self.start) == [Pulse.Beat](repeating: Pulse.Beat(), count: 60))
        pulse.noteAccepted(3, at: Self.start)
        pulse.note([Self.attempt(7), Self.attempt(7, ok: false)], at: Self.start)
        pulse.noteAccepted(1, at: Self.start + .seconds(120))
        let shown = pulse.all(now: Self.start + .seconds(180))
        #expect(shown.map(\.accepted).suffix(4) == [3, 0, 1, 0])
        #expect(shown[56].delivered == 1 && shown[56].failed == 1)
        #expect(pulse.all(now: Self.start + .seconds(3_599)).map(\.accepted).reduce(0, +) == 4)
        #expect(pulse.all(now: Self.start + .seconds(3_600)).map(\.accepted).reduce(0, +) == 1)
        pulse.noteAccepted(5, at: Self.start + .seconds(7_200))
        #expect(pulse.all(now: Self.start + .seconds(7_200)).map(\.accepted).reduce(0, +) == 5)
    }

    @Test func tellsMerchantsAndReceiversApart() {
        let pulse = Pulse()
        pulse.note([Self.attempt(7), Self.attempt(8, ok: false)], at: Self.start)
        #expect(pulse.receiver(7, now: Self.start).last?.delivered == 1)
        #expect(pulse.receiver(8, now: Self.start).last?.failed == 1)
        #expect(pulse.receiver(9, now: Self.start).isEmpty)
        #expect(pulse.merchants([303, 404], now: Self.start).last?.delivered == 1)
        #expect(pulse.merchants([404], now: Self.start).last == Pulse.Beat())
    }

    @Test func whatIsOlderThanTheRingChangesNothing() {
        let pulse = Pulse()
        pulse.noteAccepted(1, at: Self.start + .seconds(7_200))
        pulse.noteAccepted(9, at: Self.start)
        #expect(pulse.all(now: Self.start + .seconds(7_200)).map(\.accepted).reduce(0, +) == 1)
    }

    @Test func receiversWithoutEndAreBounded() {
        let pulse = Pulse()
        for receiver in 0..<5_000 as Range<Int64> {
            pulse.note([Self.attempt(receiver)], at: Self.start + .seconds(receiver))
        }
        #expect(pulse.receiver(4_999, now: Self.start + .seconds(4_999)).last?.delivered == 1)
        #expect(pulse.receiver(0, now: Self.start + .seconds(4_999)).isEmpty)
    }
}
