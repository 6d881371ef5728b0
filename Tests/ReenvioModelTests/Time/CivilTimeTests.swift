import ReenvioModel
import Testing

@Suite struct CivilTimeTests {
    /// Walks over every day of the years 1 to 2401, counting as one does by hand.
    @Test func agreesWithCountingDays() throws {
        var (year, month, day) = (1, 1, 1)
        var seconds: Int64 = -62_135_596_800
        var wrong = 0
        while year <= 2_401 {
            let civil = CivilTime(Timestamp(seconds: seconds))
            let back = CivilTime(year: year, month: month, day: day, hour: 0, minute: 0, second: 0)?.timestamp
            if civil.year != year || civil.month != month || civil.day != day || back != Timestamp(seconds: seconds) {
                wrong += 1
            }
            seconds += 86_400
            day += 1
            if day > days(of: month, in: year) { (month, day) = (month + 1, 1) }
            if month > 12 { (year, month) = (year + 1, 1) }
        }
        #expect(wrong == 0)
    }

    private func days(of month: Int, in year: Int) -> Int {
        let leap = year.isMultiple(of: 400) || (year.isMultiple(of: 4) && !year.isMultiple(of: 100))
        return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    }

    @Test(arguments: 0..<20 as Range<UInt64>)
    func comesBack(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        for _ in 0..<50 {
            let moment = Timestamp(
                microseconds: .random(in: -62_135_596_800_000_000...253_402_300_799_999_999, using: &random))
            #expect(CivilTime(moment).timestamp == moment)
        }
    }

    @Test(arguments: [
        [0, 1, 1, 0, 0, 0], [10_000, 1, 1, 0, 0, 0], [2_026, 0, 1, 0, 0, 0], [2_026, 13, 1, 0, 0, 0],
        [2_026, 1, 0, 0, 0, 0], [2_026, 1, 32, 0, 0, 0], [2_026, 2, 29, 0, 0, 0], [1_900, 2, 29, 0, 0, 0],
        [2_026, 1, 1, 24, 0, 0], [2_026, 1, 1, -1, 0, 0], [2_026, 1, 1, 0, 60, 0], [2_026, 1, 1, 0, 0, 60],
    ])
    func refusesUnrealMoments(parts: [Int]) {
        #expect(
            CivilTime(
                year: parts[0], month: parts[1], day: parts[2], hour: parts[3], minute: parts[4], second: parts[5])
                == nil)
    }
}
