/// An amount in minor units of its currency, never a binary float (`docs/contract.md` 2.1).
package struct Money: Hashable, Sendable {
    package var minor: Int64
    package var currency: String

    package init(minor: Int64, currency: String) {
        self.minor = minor
        self.currency = currency
    }

    /// Currencies that payouts may use, with the number of decimals and the symbol of each.
    package static let currencies: [String: (exponent: Int, symbol: String)] = ["BRL": (2, "R$")]

    /// Two decimals with a dot and no thousands separator, e.g. `43.34`: what signatures cover.
    package var text: String {
        let (whole, part) = minor.quotientAndRemainder(dividingBy: 100)
        return part < 10 ? "\(whole).0\(part)" : "\(whole).\(part)"
    }

    /// The text with the currency's symbol, e.g. `R$43.34`: what a payout object shows.
    package var displayText: String {
        (Self.currencies[currency]?.symbol ?? "") + text
    }
}

/// Reads a JSON number in major units as minor units, exactly.
package enum AmountText {
    package enum Fault: Error, Equatable, Sendable {
        case notPositive, tooPrecise, tooLarge

        package func text(for field: String) -> String {
            switch self {
            case .notPositive: "The \(field) field must be greater than 0."
            case .tooPrecise: "The \(field) field must not have more than 2 decimals."
            case .tooLarge: "The \(field) field must not be greater than 999999999.99."
            }
        }
    }

    private static let largestMinor: Int64 = 99_999_999_999

    /// Two decimals at most *by value*: `43.340` and `4334e-2` pass, `43.341` does not.
    package static func minorUnits(of number: JSONNumber) throws(Fault) -> Int64 {
        var digits: [UInt8] = []
        var decimals = 0
        var exponent = 0
        var rest = Array(number.text.utf8)[...]
        let negative = rest.first == UInt8(ascii: "-")
        if negative { rest.removeFirst() }
        if let mark = rest.firstIndex(where: { $0 == UInt8(ascii: "e") || $0 == UInt8(ascii: "E") }) {
            exponent = Self.exponent(rest[(mark + 1)...])
            rest = rest[..<mark]
        }
        var afterPoint = false
        for byte in rest {
            if byte == UInt8(ascii: ".") {
                afterPoint = true
            } else {
                digits.append(byte - UInt8(ascii: "0"))
                if afterPoint { decimals += 1 }
            }
        }
        while digits.last == 0 {
            digits.removeLast()
            decimals -= 1
        }
        if digits.allSatisfy({ $0 == 0 }) || negative { throw .notPositive }
        let significant = digits.drop { $0 == 0 }
        let shift = exponent - decimals + 2
        if shift < 0 { throw .tooPrecise }
        guard significant.count + shift <= 12 else { throw .tooLarge }
        var minor: Int64 = 0
        for digit in significant { minor = minor * 10 + Int64(digit) }
        for _ in 0..<shift { minor *= 10 }
        guard minor <= largestMinor else { throw .tooLarge }
        return minor
    }

    /// Cut to 32 bits, so that arithmetic on it cannot overflow: no body is long enough for the digits that would make
    /// a payable amount out of more.
    private static func exponent(_ digits: ArraySlice<UInt8>) -> Int {
        let magnitude = digits.drop { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "+") }
        let value = Int(String(decoding: magnitude, as: UTF8.self)) ?? .max
        return min(value, Int(Int32.max)) * (digits.first == UInt8(ascii: "-") ? -1 : 1)
    }
}
