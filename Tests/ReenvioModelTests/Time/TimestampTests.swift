import ReenvioModel
import Testing

@Suite struct TimestampTests {
    @Test(
        arguments: [
            (0, 0), (999_999, 0), (1_000_000, 1), (1_999_999, 1), (-1, -1), (-1_000_000, -1), (-1_000_001, -2),
        ] as [(Int64, Int64)])
    func roundsSecondsDown(microseconds: Int64, seconds: Int64) {
        #expect(Timestamp(microseconds: microseconds).seconds == seconds)
    }

    @Test func addsAndSubtractsSpans() {
        let moment = Timestamp(seconds: 100)
        #expect(moment + .milliseconds(1_500) == Timestamp(microseconds: 101_500_000))
        #expect(moment - .microseconds(1) == Timestamp(microseconds: 99_999_999))
        #expect(moment - Timestamp(microseconds: 99_999_999) == .microseconds(1))
        #expect(Timestamp(seconds: 1) - moment == .seconds(-99))
        #expect(Timestamp(microseconds: -1) < Timestamp(microseconds: 0))
    }

    @Test(
        arguments: [
            (.seconds(3), 3_000_000), (.milliseconds(-1_500), -1_500_000), (.nanoseconds(1_999), 1),
            (.nanoseconds(-1_999), -1), (.zero, 0), (.seconds(30 * 86_400), 2_592_000_000_000),
        ] as [(Duration, Int64)])
    func countsMicroseconds(span: Duration, microseconds: Int64) {
        #expect(span.microseconds == microseconds)
        #expect(span.milliseconds == microseconds / 1_000)
    }
}
