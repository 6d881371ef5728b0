import ReenvioModel
import Testing

@Suite struct AmountTests {
    @Test(
        arguments: [
            ("43.34", 4_334), ("43.340", 4_334), ("4334e-2", 4_334), ("43.3400000000000000000000000", 4_334),
            ("4.334e1", 4_334), ("4.334E+1", 4_334), ("433400e-4", 4_334), ("0.0004334e5", 4_334),
            ("0.01", 1), ("1e-2", 1), ("0.010", 1), ("10e-3", 1), ("0.1", 10), ("0.10", 10), ("1", 100), ("1.0", 100),
            ("100e-2", 100), ("1e0", 100), ("1e-0", 100), ("1E+2", 10_000), ("1e2", 10_000), ("10", 1_000),
            ("100", 10_000), ("1000000", 100_000_000), ("1e8", 10_000_000_000),
            ("999999999.99", 99_999_999_999), ("999999999.990", 99_999_999_999), ("99999999999e-2", 99_999_999_999),
            ("9.9999999999e8", 99_999_999_999), ("999999999", 99_999_999_900),
            // Amounts that binary floating point gets wrong.
            ("0.29", 29), ("1.005e1", 1_005), ("8.41", 841), ("1023.99", 102_399), ("70368744177.66e-2", nil),
            ("703687441.77", 70_368_744_177),
            ("1000000000000000000000000000000e-30", 100),
        ] as [(String, Int64?)])
    func readsByValue(text: String, minor: Int64?) throws {
        let number = try #require(JSONNumber(text))
        #expect((try? AmountText.minorUnits(of: number)) == minor)
    }

    @Test(arguments: [
        "0", "-0", "0.0", "0.00", "0.000", "-0.000", "0e5", "0e-5", "0e999999999999", "0e-999999999999", "-1", "-0.01",
        "-43.341", "-1e400", "-1000000000", "0.0e99999999999999999999999", "-1e-99999999999999999999999",
    ])
    func refusesWhatIsNotPositive(text: String) throws {
        expectFault(.notPositive, try #require(JSONNumber(text)))
    }

    @Test(arguments: [
        "43.341", "0.001", "1e-3", "1.001", "0.005", "0.0000001", "1e-400", "4334e-3", "999999999.991", "1.0000000001",
        "0.1e-2", "1e-9223372036854775807", "1e-9223372036854775808", "1.5e-9223372036854775808",
        "1e-99999999999999999999999", "1.5e-99999999999999999999999",
    ])
    func refusesMoreThanTwoDecimals(text: String) throws {
        expectFault(.tooPrecise, try #require(JSONNumber(text)))
    }

    @Test(arguments: [
        "1000000000", "1000000000.00", "999999999.999e1", "1e9", "1e10", "1e11", "1e12", "1e400",
        "12345678901234567890", "92233720368547758.07", "184467440737095516.16", "1e2147483647", "1e2147483648",
        "1e9223372036854775804", "1e9223372036854775805", "1e9223372036854775806", "1e9223372036854775807",
        "10e9223372036854775807", "100e9223372036854775806", "1e9223372036854775808", "1.5e9223372036854775807",
        "1e+99999999999999999999999", "10e99999999999999999999999",
    ])
    func refusesTooMuch(text: String) throws {
        expectFault(.tooLarge, try #require(JSONNumber(text)))
    }

    /// Every amount that can be written with two decimals reads back, however its exponent is put.
    @Test(arguments: 0..<500 as Range<UInt64>)
    func readsWhatMoneyWrites(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let largest = Int64.random(in: 1...99_999_999_999, using: &random)
        let minor = Int64.random(in: 1...largest, using: &random)
        let money = Money(minor: minor, currency: "BRL")
        #expect(try AmountText.minorUnits(of: try #require(JSONNumber(money.text))) == minor)
        #expect(try AmountText.minorUnits(of: try #require(JSONNumber("\(minor)e-2"))) == minor)
        let zeros = Int.random(in: 0...30, using: &random)
        let padded = "\(minor)" + String(repeating: "0", count: zeros) + "E-\(zeros + 2)"
        #expect(try AmountText.minorUnits(of: try #require(JSONNumber(padded))) == minor)
    }

    private func expectFault(
        _ fault: AmountText.Fault, _ number: JSONNumber, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(throws: fault, sourceLocation: sourceLocation) { try AmountText.minorUnits(of: number) }
    }

    @Test func saysWhatIsWrong() {
        #expect(AmountText.Fault.notPositive.text(for: "amount") == "The amount field must be greater than 0.")
        #expect(
            AmountText.Fault.tooPrecise.text(for: "amount") == "The amount field must not have more than 2 decimals.")
        #expect(
            AmountText.Fault.tooLarge.text(for: "amount") == "The amount field must not be greater than 999999999.99.")
    }

    /// Two decimals, a dot, no thousands separator (`docs/contract.md` 2.1 and 3.2).
    @Test(
        arguments: [
            (1, "0.01"), (10, "0.10"), (99, "0.99"), (100, "1.00"), (109, "1.09"), (4_334, "43.34"), (10_000, "100.00"),
            (123_456_789, "1234567.89"), (99_999_999_999, "999999999.99"), (0, "0.00"),
        ] as [(Int64, String)])
    func writesTwoDecimals(minor: Int64, text: String) {
        let money = Money(minor: minor, currency: "BRL")
        #expect(money.text == text)
        #expect(money.displayText == "R$" + text)
    }
}
